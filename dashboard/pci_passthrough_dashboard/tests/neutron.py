# SPDX-License-Identifier: Apache-2.0
"""As much of Neutron as a port needs: networks, ports, tags."""

import json
import threading
from typing import Any
from typing import Final

import fixtures
from werkzeug import serving
from werkzeug import wrappers

NETWORK: Final = 'a5f3c1d2-0000-4000-8000-000000000001'


class Neutron(fixtures.Fixture):
    """A server that trusts every token.

    :ivar ports: by their UUIDs, with their tags.
    :ivar refuses_tags: whether tags are answered with an error.
    """

    def _setUp(self) -> None:
        self.ports: dict[str, dict[str, Any]] = {}
        self.refuses_tags = False
        server = serving.make_server(
            '127.0.0.1', 0, self._answer, threaded=True
        )
        thread = threading.Thread(
            target=server.serve_forever, args=(0.01,), daemon=True
        )
        thread.start()
        self.addCleanup(server.server_close)
        self.addCleanup(thread.join)
        self.addCleanup(server.shutdown)
        self.url = f'http://127.0.0.1:{server.server_port}'

    def _answer(self, environ: Any, start_response: Any) -> Any:
        request = wrappers.Request(environ)
        steps = request.path.strip('/').split('/')[1:]
        status, body = self._route(request, steps)
        response = wrappers.Response(
            json.dumps(body), status, content_type='application/json'
        )
        return response(environ, start_response)

    def _route(
        self, request: wrappers.Request, steps: list[str]
    ) -> tuple[int, Any]:
        match request.method, steps:
            case 'GET', ['networks']:
                return 200, {'networks': [{'id': NETWORK, 'name': 'blue'}]}
            case 'POST', ['ports']:
                port: dict[str, Any] = {'id': f'port-{len(self.ports)}'}
                port |= json.loads(request.data)['port']
                self.ports[port['id']] = port
                return 201, {'port': port}
            case 'PUT', ['ports', port_id, 'tags']:
                if self.refuses_tags:
                    return 409, {'NeutronError': {'message': 'no tags today'}}
                tags = json.loads(request.data)['tags']
                self.ports[str(port_id)]['tags'] = tags
                return 200, {'tags': tags}
            case 'DELETE', ['ports', port_id]:
                del self.ports[str(port_id)]
                return 204, None
            case 'GET', ['extensions']:
                return 200, {'extensions': []}
        return 404, {'NeutronError': {'message': request.path}}
