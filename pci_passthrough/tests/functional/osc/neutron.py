# SPDX-License-Identifier: Apache-2.0
"""The parts of Neutron that ports with tags need."""

from collections.abc import Iterable
import json
from typing import Any
from typing import TYPE_CHECKING
import uuid

import fixtures
from werkzeug import exceptions
from werkzeug import wrappers

from pci_passthrough.tests.functional.osc import base
from pci_passthrough.tests.functional.osc import nova

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse
    from _typeshed.wsgi import WSGIEnvironment

_VNIC_TYPE = 'binding:vnic_type'


class NeutronFixture(fixtures.Fixture):
    """A Neutron with the networks of ``nova.NETWORKS``.

    It has no extension, so tags are not set with other fields of a port.

    :ivar ports: by name.
    :ivar endpoints: URLs by service type, region and interface.
    """

    def _setUp(self) -> None:
        self.ports: dict[str, dict[str, Any]] = {}
        self._root = self.useFixture(base.Served(self._answer)).url
        self.endpoints = {('network', 'one', 'public'): self._root}

    def _answer(
        self, environ: 'WSGIEnvironment', start_response: 'StartResponse'
    ) -> Iterable[bytes]:
        request = wrappers.Request(environ)
        response = wrappers.Response(mimetype='application/json')
        try:
            answer = self._route(request)
        except exceptions.HTTPException as error:
            response.status_code = error.code or 500
            answer = {'NeutronError': {'message': error.description}}
        response.data = json.dumps(answer)
        return response(environ, start_response)

    def _route(self, request: wrappers.Request) -> Any:
        match request.method, request.path.strip('/').split('/'):
            case 'GET', ['']:
                link = {'rel': 'self', 'href': f'{self._root}/v2.0/'}
                version = {'id': 'v2.0', 'status': 'CURRENT', 'links': [link]}
                return {'versions': [version]}
            case 'GET', ['v2.0', 'extensions']:
                return {'extensions': []}
            case 'GET', ['v2.0', 'networks', *rest]:
                return nova.networks(rest, request.args.get('name'))
            case 'GET', ['v2.0', 'ports']:
                return {'ports': self._listed(request)}
            case 'POST', ['v2.0', 'ports']:
                values = request.get_json()['port']
                port = {
                    'id': str(uuid.uuid4()), 'tags': [], _VNIC_TYPE: 'normal',
                    'device_id': '', **values,
                }  # fmt: skip
                self.ports[port['name']] = port
                return {'port': port}
            case method, ['v2.0', 'ports', which, *rest]:
                return self._of_port(method, self._port(which), rest, request)
        raise exceptions.NotFound(request.path)

    def _of_port(
        self,
        method: str,
        port: dict[str, Any],
        rest: list[str],
        request: wrappers.Request,
    ) -> Any:
        if rest == ['tags']:
            port['tags'] = request.get_json()['tags']
            return {'tags': port['tags']}
        if method == 'PUT':
            port |= request.get_json()['port']
        return {'port': port}

    def _port(self, which: str) -> dict[str, Any]:
        for port in self.ports.values():
            if port['id'] == which:
                return port
        raise exceptions.NotFound(f'no port {which}')

    def _listed(self, request: wrappers.Request) -> list[dict[str, Any]]:
        any_of = request.args.get('tags-any', '').split(',')
        return [
            port
            for name, port in self.ports.items()
            if request.args.get('name') in (None, name)
            and (any_of == [''] or {*any_of} & {*port['tags']})
        ]
