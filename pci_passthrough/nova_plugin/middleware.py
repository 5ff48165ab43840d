# SPDX-License-Identifier: Apache-2.0
"""Brings the door into nova-api, and takes PCI flavors of NICs from bodies.

A paste filter. nova-api without the door would pass over a flavor's PCI
flavors, so it does not start then. Requests that ask for PCI flavors on NICs
have them taken out of their bodies, for Nova knows no such key::

    POST /servers, and its old twin /os-volumes_boot
    {"server": {"networks": [{"uuid": …, "pci_flavor": "10g"}], …}}

    POST /servers/{id}/os-interface
    {"interfaceAttachment": {"net_id": …, "pci_flavor": "10g"}}

All else passes as it came.
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

from pci_passthrough.nova_plugin.install import bootstrap
from pci_passthrough.nova_plugin.network import asked_nics

_Application = Callable[[dict[str, Any], Any], Iterable[bytes]]

#: What the path ends with, whatever of it other filters have taken away.
_SERVERS = re.compile(r'(?:^|/)(?:servers|os-volumes_boot)/?\Z')
_INTERFACES = re.compile(r'(?:^|/)servers/[^/]+/os-interface/?\Z')

#: The key in the bodies.
_KEY = 'pci_flavor'

#: Longer bodies are none that Nova takes, so nobody has to read them.
_LONGEST = 1 << 20


class BadBody(Exception):
    """What a body asks for makes no sense."""


def factory(
    global_conf: Mapping[str, str], **local_conf: str
) -> Callable[[_Application], _Application]:
    """Install the door and return the filter.

    :raises UnsupportedNova: the application is not loaded then.
    """
    bootstrap.install()
    return NicFilter


class NicFilter:
    """Takes PCI flavors of NICs out of requests, and adds warnings."""

    def __init__(self, application: _Application) -> None:
        self._application = application

    def __call__(
        self, environ: dict[str, Any], start_response: Any
    ) -> Iterable[bytes]:
        """Pass a request on; see PEP 3333."""
        take = _taker(environ)
        if take is None:
            return self._application(environ, start_response)
        try:
            asked = asked_nics.AskedNics(_taken(environ, take))
        except BadBody as error:
            return _bad_request(start_response, str(error))
        except exceptions.HTTPException as error:
            return error.get_response(environ)(environ, start_response)

        def start(status: str, headers: Any, *error: Any) -> Any:
            told = [('Warning', warning) for warning in asked.warnings]
            return start_response(status, [*headers, *told], *error)

        with asked_nics.in_thread(asked):
            return self._application(environ, start)


def _taker(
    environ: Mapping[str, Any],
) -> Callable[[Any], dict[int, str]] | None:
    """Return what takes the PCI flavors from a body; None: there are none."""
    if environ['REQUEST_METHOD'] != 'POST':
        return None
    path = str(environ.get('PATH_INFO', ''))
    for pattern, take in (
        (_SERVERS, _of_server),
        (_INTERFACES, _of_interface),
    ):
        if pattern.search(path):
            return take
    return None


def _taken(
    environ: dict[str, Any], take: Callable[[Any], dict[int, str]]
) -> dict[int, str]:
    """Take the PCI flavors from a request; by place in its networks.

    A body that cannot be read safely, or is too long, stays as it is. With
    a PCI flavor in it, Nova refuses it for a key that it does not know; but
    for /v2, which passes over all such keys.

    :raises: BadBody; HTTPException if it turns out to be too long, or is not
        sent to its end.
    """
    length = wsgi.get_content_length(environ)
    if length is None and not environ.get('wsgi.input_terminated'):
        return {}
    if length is not None and length > _LONGEST:
        return {}
    stream = wsgi.get_input_stream(environ, max_content_length=_LONGEST)
    # The first read stops at the limit, the second one complains of it.
    raw = stream.read() + stream.read()
    names = {}
    # Nova says what is wrong with a body that is not as expected.
    with contextlib.suppress(KeyError, RecursionError, TypeError, ValueError):
        body = json.loads(raw)
        names = take(body)
        if names:
            raw = json.dumps(body).encode()
    environ['wsgi.input'] = io.BytesIO(raw)
    environ['CONTENT_LENGTH'] = str(len(raw))
    environ.pop('HTTP_TRANSFER_ENCODING', None)
    return names


def _of_server(body: Any) -> dict[int, str]:
    networks = body['server']['networks']
    if not isinstance(networks, list):
        return {}
    return {
        place: _name(network.pop(_KEY), network, f'networks[{place}]', 'port')
        for place, network in enumerate(networks)
        if isinstance(network, dict) and _KEY in network
    }


def _of_interface(body: Any) -> dict[int, str]:
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
    """Answer as Nova's API does."""
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
