# SPDX-License-Identifier: Apache-2.0
"""The parts of Nova, Neutron and Glance that create a server.

What is sent to Nova is written down, and nothing is done.
"""

from collections.abc import Iterable
import dataclasses
import json
from typing import Any
from typing import TYPE_CHECKING

import fixtures
from werkzeug import exceptions
from werkzeug import wrappers

from pci_passthrough.tests.functional.osc import base

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse
    from _typeshed.wsgi import WSGIEnvironment

FLAVOR = '5b8d9c0e-2f41-4d7a-9a63-1c0e7f8b2d34'
IMAGE = 'c7a1f2d8-60b3-4e95-8f1d-2a9b4c6e0d17'
SERVER = '91e4d6b2-3c7f-4a08-b5d1-6f2e8a0c9b43'
PORT = '3f6b1a9d-7e20-4c58-9d04-b8c5e2f7a161'
#: UUIDs by name.
NETWORKS = {
    'red': '0d9e8c7b-6a5f-4e3d-8c2b-1a0f9e8d7c6b',
    'blue': 'a1b2c3d4-e5f6-4789-8abc-def012345678',
}

_LATEST = '2.96'


@dataclasses.dataclass(frozen=True)
class Posted:
    """A request that was sent to Nova."""

    path: str
    body: Any
    microversion: str | None


class NovaFixture(fixtures.Fixture):
    """A Nova that accepts every request, unless a test prepares an error.

    :ivar posted: what it got.
    :ivar warnings: headers ``Warning`` of its answers to that.
    :ivar refusal: why it refuses everything, if it does.
    :ivar held: servers by UUID; without any there is one, of any UUID.
    :ivar listed: how often all servers were listed.
    :ivar status: of which status they had to be, at last.
    :ivar endpoints: URLs by service type, region and interface.
    """

    def _setUp(self) -> None:
        self.posted: list[Posted] = []
        self.warnings: list[str] = []
        self.refusal: str | None = None
        self.held: dict[str, dict[str, Any]] = {}
        self.listed = 0
        self.status: str | None = None
        served = self.useFixture(base.Served(self._answer))
        self._root = served.url
        self.endpoints = {
            ('compute', 'one', 'public'): f'{served.url}/v2.1',
            ('network', 'one', 'public'): f'{served.url}/network',
            ('image', 'one', 'public'): f'{served.url}/image',
        }

    def bodies(self) -> list[Any]:
        """Return the bodies that were posted since the last call."""
        bodies = [request.body for request in self.posted]
        self.posted.clear()
        return bodies

    def _answer(
        self, environ: 'WSGIEnvironment', start_response: 'StartResponse'
    ) -> Iterable[bytes]:
        request = wrappers.Request(environ)
        response = wrappers.Response(mimetype='application/json')
        try:
            if request.method == 'POST':
                answer = self._post(request)
                for warning in self.warnings:
                    response.headers.add('Warning', warning)
            else:
                answer = self._get(request)
        except exceptions.HTTPException as error:
            response.status_code = error.code or 500
            fault = {'code': error.code, 'message': error.description}
            answer = {'badRequest': fault}
        response.data = json.dumps(answer)
        return response(environ, start_response)

    def _post(self, request: wrappers.Request) -> Any:
        body = request.get_json()
        version = request.headers.get('X-OpenStack-Nova-API-Version')
        self.posted.append(Posted(request.path, body, version))
        if self.refusal is not None:
            raise exceptions.BadRequest(self.refusal)
        if request.path.endswith('/os-interface'):
            return {'interfaceAttachment': {'port_id': PORT, 'fixed_ips': []}}
        return {'server': {'id': SERVER, 'adminPass': 'secret', 'links': []}}

    def _get(self, request: wrappers.Request) -> Any:
        match request.path.strip('/').split('/'):
            case ['v2.1']:
                return {'version': self._version('v2.1', '2.1', _LATEST)}
            case ['v2.1', 'servers', which]:
                self.status = request.args.get('status')
                return self._servers(which)
            case ['v2.1', 'flavors', *_]:
                return {'flavor': {'id': FLAVOR, 'name': 'm1', 'links': []}}
            case ['image']:
                return {'versions': [self._version('image/v2')]}
            case ['image', 'v2', 'images', *_]:
                return {'id': IMAGE, 'name': 'disk', 'status': 'active'}
            case ['network']:
                return {'versions': [self._version('network/v2.0')]}
            case ['network', 'v2.0', 'networks', *rest]:
                return networks(rest, request.args.get('name'))
            case ['network', 'v2.0', 'ports', *_]:
                return {'port': {'id': PORT}}
        raise exceptions.NotFound(request.path)

    def _servers(self, which: str) -> Any:
        if which == 'detail':
            self.listed += 1
            return {'servers': list(self.held.values())}
        if self.held and which not in self.held:
            raise exceptions.NotFound('no such server')
        return {'server': self.held.get(which) or _server()}

    def _version(
        self, path: str, oldest: str = '', newest: str = ''
    ) -> dict[str, Any]:
        return {
            'id': path.rpartition('/')[2],
            'status': 'CURRENT',
            'min_version': oldest,
            'version': newest,
            'updated': '2026-01-01T00:00:00Z',
            'links': [{'rel': 'self', 'href': f'{self._root}/{path}/'}],
        }


def _server() -> dict[str, Any]:
    return {
        'id': SERVER,
        'name': 'vm',
        'status': 'BUILD',
        'addresses': {},
        'links': [],
        'metadata': {},
        'image': {'id': IMAGE},
        'flavor': {'original_name': 'm1', 'extra_specs': {}},
    }


def networks(rest: list[str], name: str | None) -> Any:
    """Return the answer about networks, or about one of them."""
    known = [{'id': uuid, 'name': name} for name, uuid in NETWORKS.items()]
    if not rest:
        return {'networks': [item for item in known if item['name'] == name]}
    for network in known:
        if network['id'] == rest[0]:
            return {'network': network}
    raise exceptions.NotFound
