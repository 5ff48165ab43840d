# SPDX-License-Identifier: Apache-2.0
"""Installs the Nova plugin in nova-api; reads PCI flavors from bodies.

A paste filter. nova-api without the Nova plugin would ignore the PCI flavors
of a Nova flavor, so nova-api does not start if the plugin does not fit. Nova
does not know the key ``pci_flavor`` of a NIC, so the filter removes it::

    POST /servers, and the older /os-volumes_boot
    {"server": {"networks": [{"uuid": …, "pci_flavor": "10g"}], …}}

    POST /servers/{id}/os-interface
    {"interfaceAttachment": {"net_id": …, "pci_flavor": "10g"}}

It refuses extra specs for PCI flavors that cannot be read: Nova's own
validation runs only from microversion 2.86 on::

    POST /flavors/{id}/os-extra_specs        {"extra_specs": {KEY: VALUE}}
    PUT /flavors/{id}/os-extra_specs/{KEY}   {KEY: VALUE}

All other requests stay unchanged.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
import contextlib
import io
import json
import re
from typing import Any

from werkzeug import exceptions
from werkzeug import wsgi

from pci_passthrough import exception
from pci_passthrough.nova_plugin.install import bootstrap
from pci_passthrough.nova_plugin.network import asked_nics
from pci_passthrough.specs import request as request_spec

_Application = Callable[[dict[str, Any], Any], Iterable[bytes]]

#: Ends of paths; other filters may have removed the beginnings.
_SERVERS = re.compile(r'(?:^|/)(?:servers|os-volumes_boot)/?\Z')
_INTERFACES = re.compile(r'(?:^|/)servers/[^/]+/os-interface/?\Z')
_EXTRA_SPECS = re.compile(r'(?:^|/)flavors/[^/]+/os-extra_specs/?\Z')
_EXTRA_SPEC = re.compile(r'(?:^|/)flavors/[^/]+/os-extra_specs/[^/]+/?\Z')

#: The key of a NIC in the body.
_KEY = 'pci_flavor'

#: Bytes. Nova accepts no longer bodies, so they are not read here.
_MAX_LENGTH = 1 << 20


class BadBody(Exception):
    """A body asks for a PCI flavor in a wrong way: HTTP 400."""


def factory(
    global_conf: Mapping[str, str], **local_conf: str
) -> Callable[[_Application], _Application]:
    """Install the Nova plugin and return the filter.

    :raises UnsupportedNova: the plugin does not fit this Nova; then nova-api
        does not start.
    """
    bootstrap.install()
    return NicFilter


class NicFilter:
    """Reads PCI flavors from requests; adds warnings to answers."""

    def __init__(self, application: _Application) -> None:
        self._application = application

    def __call__(
        self, environ: dict[str, Any], start_response: Any
    ) -> Iterable[bytes]:
        """Pass a request on; see PEP 3333."""
        extract = _extractor(environ)
        if extract is None:
            return self._application(environ, start_response)
        try:
            asked = asked_nics.AskedNics(_extract(environ, extract))
        except BadBody as error:
            return _bad_request(start_response, str(error))
        except exceptions.HTTPException as error:
            return error.get_response(environ)(environ, start_response)

        def start(status: str, headers: Any, *error: Any) -> Any:
            warnings = [('Warning', warning) for warning in asked.warnings]
            return start_response(status, [*headers, *warnings], *error)

        with asked_nics.in_thread(asked):
            return self._application(environ, start)


def _extractor(
    environ: Mapping[str, Any],
) -> Callable[[Any], dict[int, str]] | None:
    """Return the function that reads PCI flavors from this body, if any."""
    path = str(environ.get('PATH_INFO', ''))
    for method, pattern, extract in (
        ('POST', _SERVERS, _from_server),
        ('POST', _INTERFACES, _from_interface),
        ('POST', _EXTRA_SPECS, _check_extra_specs),
        ('PUT', _EXTRA_SPEC, _check_extra_spec),
    ):
        if environ['REQUEST_METHOD'] == method and pattern.search(path):
            return extract
    return None


def _extract(
    environ: dict[str, Any], extract: Callable[[Any], dict[int, str]]
) -> dict[int, str]:
    """Remove the PCI flavors from the body of a request.

    A body that cannot be read safely, or is too long, stays unchanged. If it
    has a PCI flavor, Nova refuses the unknown key. Only /v2 ignores unknown
    keys.

    :returns: index in the list of networks to the PCI flavor's name.
    :raises: BadBody; HTTPException for a body that is too long in spite of
        its header, or incomplete.
    """
    length = wsgi.get_content_length(environ)
    if length is None and not environ.get('wsgi.input_terminated'):
        return {}
    if length is not None and length > _MAX_LENGTH:
        return {}
    stream = wsgi.get_input_stream(environ, max_content_length=_MAX_LENGTH)
    # The first read stops at the limit, the second one raises an error.
    raw = stream.read() + stream.read()
    names = {}
    # Nova answers with an error for any other form of body.
    with contextlib.suppress(KeyError, RecursionError, TypeError, ValueError):
        body = json.loads(raw)
        names = extract(body)
        if names:
            raw = json.dumps(body).encode()
    environ['wsgi.input'] = io.BytesIO(raw)
    environ['CONTENT_LENGTH'] = str(len(raw))
    environ.pop('HTTP_TRANSFER_ENCODING', None)
    return names


def _from_server(body: Any) -> dict[int, str]:
    networks = body['server']['networks']
    if not isinstance(networks, list):
        return {}
    return {
        index: _name(network.pop(_KEY), network, f'networks[{index}]', 'port')
        for index, network in enumerate(networks)
        if isinstance(network, dict) and _KEY in network
    }


def _from_interface(body: Any) -> dict[int, str]:
    attachment = body['interfaceAttachment']
    if not isinstance(attachment, dict) or _KEY not in attachment:
        return {}
    name = _name(
        attachment.pop(_KEY), attachment, 'interfaceAttachment', 'port_id'
    )
    if not attachment.get('net_id'):
        raise BadBody(
            'interfaceAttachment: pci_flavor needs the network, net_id, too'
        )
    return {0: name}


def _check_extra_specs(body: Any) -> dict[int, str]:
    return _check_extra_spec(body['extra_specs'])


def _check_extra_spec(extra_specs: Any) -> dict[int, str]:
    """Check extra specs; they name no NICs.

    :raises BadBody: one of them is for PCI flavors, and cannot be read.
    """
    if not isinstance(extra_specs, dict):
        # Nova answers with an error.
        return {}
    try:
        request_spec.check_extra_specs(
            {
                # Nova stores numbers as text.
                key: str(value) if isinstance(value, int | float) else value
                for key, value in extra_specs.items()
            }
        )
    except exception.InvalidRequest as error:
        raise BadBody(error.text) from error
    return {}


def _name(value: Any, nic: Mapping[str, Any], where: str, port: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 255:
        raise BadBody(
            f'{where}: pci_flavor has to be the name or the UUID of a PCI '
            'flavor'
        )
    if nic.get(port):
        raise BadBody(
            f'{where}: pci_flavor cannot be given with a port; tag the port '
            f'with {asked_nics.TAG}{value} instead'
        )
    return value


def _bad_request(start_response: Any, message: str) -> Iterable[bytes]:
    """Answer in the form of Nova's API."""
    answer = {'badRequest': {'code': 400, 'message': message}}
    raw = json.dumps(answer).encode()
    start_response(
        '400 Bad Request',
        [
            ('Content-Type', 'application/json'),
            ('Content-Length', str(len(raw))),
        ],
    )
    return [raw]
