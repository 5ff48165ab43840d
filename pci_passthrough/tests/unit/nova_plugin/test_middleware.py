# SPDX-License-Identifier: Apache-2.0
"""Tests of the paste filter."""

import io
import json
from typing import Any

import fixtures
import testtools
from werkzeug import test
from werkzeug import wrappers

from pci_passthrough.nova_plugin import middleware
from pci_passthrough.nova_plugin.network import asked_nics

NET = '5c0de7c2-3d71-4a2b-9f0a-0d6b3ad1d5c1'
PORT = '0a6a05a1-0c2b-4c5c-8d8f-0f4cf4f0f3b7'


#: A body of unknown length whose end the server signals.
ENDLESS = {'wsgi.input_terminated': True, 'CONTENT_LENGTH': ''}


class Nova:
    """Stands in for nova-api behind the filter.

    :ivar body: the body that it has read.
    :ivar names: the PCI flavors of the NICs, as it gets them.
    """

    body: bytes = b''
    names: dict[int, str] | None = None

    def __call__(self, environ: Any, start_response: Any) -> Any:
        request = wrappers.Request(environ)
        self.body = request.get_data()
        asked = asked_nics.current()
        self.names = None if asked is None else asked.names
        if asked is not None and 'warn' in environ['PATH_INFO']:
            asked.warn('it is late')
        response = wrappers.Response('{}', 202, {'X-Own': 'kept'})
        return response(environ, start_response)


class NicFilterTest(testtools.TestCase):
    """Requests through the filter."""

    def setUp(self) -> None:
        super().setUp()
        self.useFixture(
            fixtures.MockPatch(
                'pci_passthrough.nova_plugin.install.bootstrap.install'
            )
        )
        self.nova = Nova()
        make_filter = middleware.factory({})
        self.client = test.Client(make_filter(self.nova))

    def post(self, path: str, body: Any, **options: Any) -> Any:
        """Post an object as JSON, or bytes unchanged."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.client.post(
            path, data=data, content_type='application/json', **options
        )

    def server(self, *networks: Any) -> dict[str, Any]:
        """Return the body of a request for a server."""
        return {'server': {'name': 'vm', 'networks': list(networks)}}

    def test_server(self) -> None:
        """The key is removed, and the index of its NIC is known."""
        plain, nic = {'uuid': NET}, {'uuid': NET, 'tag': 'fast'}
        for path in (
            '/servers',
            '/v2.1/servers',
            '/v2.1/42/servers/',
            '/v2.1/os-volumes_boot',
        ):
            answer = self.post(
                path, self.server(plain, {**nic, 'pci_flavor': '10g'})
            )
            self.assertEqual(202, answer.status_code)
            self.assertEqual({1: '10g'}, self.nova.names)
            self.assertEqual(
                self.server(plain, nic), json.loads(self.nova.body)
            )
        self.assertIsNone(asked_nics.current())

    def test_interface(self) -> None:
        self.post(
            '/v2.1/servers/42/os-interface',
            {'interfaceAttachment': {'net_id': NET, 'pci_flavor': '10g'}},
        )
        self.assertEqual({0: '10g'}, self.nova.names)
        self.assertEqual(
            {'interfaceAttachment': {'net_id': NET}},
            json.loads(self.nova.body),
        )

    def test_extra_specs(self) -> None:
        """Those that cannot be read are refused, in any microversion."""
        key = 'pci_passthrough:pci_flavor'
        for specs, text in (
            ({key: 't4:1'}, None),
            ({key: 't4:x'}, "'t4:x'"),
            ({key: ['t4']}, 'is no string'),
            # A PCI flavor may be named so.
            ({key: 10}, None),
            ({'hardware_resource:t4': 2}, None),
            ({'hardware_resource:t4': 'two'}, 'two'),
            ({'pci_passthrough:pci_flavour': 't4'}, f'possible: {key}'),
            ({'pci_passthrough:alias': 'a:1'}, None),
            ({'hw:cpu_policy': 'pinned', 'pci:x': '!'}, None),
            (None, None),
            ([key], None),
            ([1], None),
            ({}, None),
        ):
            answers = [
                self.post('/v2.1/flavors/42/os-extra_specs', whole)
                for whole in ({'extra_specs': specs},)
            ]
            answers.append(
                self.client.put(
                    f'/flavors/42/os-extra_specs/{key}',
                    data=json.dumps(specs),
                )
            )
            for answer in answers:
                if text is None:
                    self.assertEqual(202, answer.status_code, f'{specs}')
                    continue
                self.assertEqual(400, answer.status_code, f'{specs}')
                self.assertIn(text, answer.json['badRequest']['message'])

    def test_other_paths_of_flavors(self) -> None:
        wrong = {'extra_specs': {'pci_passthrough:pci_flavour': 't4'}}
        for path in ('/flavors', '/flavors/42/os-extra_specs/a/b', '/x'):
            self.assertEqual(202, self.post(path, wrong).status_code)

    def test_other_encodings(self) -> None:
        """JSON can escape characters, and can be UTF-16."""
        body = json.dumps(self.server({'uuid': NET, 'pci_flavor': '10g'}))
        for raw in (
            body.replace('pci_flavor', 'pci\\u005fflavor').encode(),
            body.encode('utf-16'),
        ):
            self.post('/servers', raw)
            self.assertEqual({0: '10g'}, self.nova.names)

    def test_interface_of_another_form(self) -> None:
        body = b'{"interfaceAttachment": "pci_flavor"}'
        self.post('/servers/42/os-interface', body)
        self.assertEqual(body, self.nova.body)

    def test_elsewhere(self) -> None:
        """Other requests pass unchanged."""
        body = self.server({'uuid': NET, 'pci_flavor': '10g'})
        for path in (
            '/v2.1/os-server-groups',
            '/v2.1/servers/42/action',
            '/v2.1/myservers',
            '/v2.1/servers/42/os-interface/43',
        ):
            self.post(path, body)
            self.assertIsNone(self.nova.names)
            self.assertEqual(body, json.loads(self.nova.body))
        self.client.get('/v2.1/servers')
        self.assertIsNone(self.nova.names)

    def test_as_it_came(self) -> None:
        """Bodies without PCI flavors pass unchanged; Nova checks them."""
        for body in (
            b'',
            b'{"server": {"networks": "auto"} }',
            b'{"server": {"networks": [{"uuid": "x"}]}}  ',
            b'not "pci_flavor" JSON',
            b'["pci_flavor"]',
            b'{"server": {"pci_flavor": 1, "networks": "none"}}',
            b'{"server": {"networks": ["pci_flavor"]}}',
            b'{"interfaceAttachment": {"pci_flavor": "10g"}}',
            b'["pci_flavor"' + b'[' * 100_000,
        ):
            answer = self.post('/servers', body)
            self.assertEqual(202, answer.status_code)
            self.assertEqual(body, self.nova.body)
            self.assertEqual({}, self.nova.names)

    def test_refusals(self) -> None:
        """The answer is HTTP 400 in Nova's form, and says what is wrong."""
        for path, body, text in (
            (
                '/servers',
                self.server({'uuid': NET, 'pci_flavor': 7}),
                'networks[0]: pci_flavor has to be the name',
            ),
            (
                '/servers',
                self.server({}, {'uuid': NET, 'pci_flavor': ''}),
                'networks[1]: pci_flavor has to be the name',
            ),
            (
                '/servers',
                self.server({'uuid': NET, 'pci_flavor': 'x' * 256}),
                'networks[0]: pci_flavor has to be the name',
            ),
            (
                '/servers',
                self.server({'port': PORT, 'pci_flavor': '10g'}),
                'tag the port with pci-flavor=10g instead',
            ),
            (
                '/servers/42/os-interface',
                {'interfaceAttachment': {'pci_flavor': '10g'}},
                'needs the network, net_id',
            ),
            (
                '/servers/42/os-interface',
                {
                    'interfaceAttachment': {
                        'port_id': PORT,
                        'pci_flavor': '10g',
                    }
                },
                'tag the port with pci-flavor=10g instead',
            ),
        ):
            answer = self.post(path, body)
            self.assertEqual(400, answer.status_code)
            refusal = answer.json['badRequest']
            self.assertEqual(400, refusal['code'])
            self.assertIn(text, refusal['message'])
            self.assertIsNone(self.nova.names)

    def test_long_bodies(self) -> None:
        """Bodies with a great Content-Length pass; others are refused."""
        body = json.dumps(self.server({'uuid': NET, 'pci_flavor': '10g'}))
        long = body.encode() + b' ' * (1 << 20)
        self.post('/servers', long)
        self.assertEqual({}, self.nova.names)
        self.assertEqual(long, self.nova.body)
        answer = self.post(
            '/servers',
            b'',
            input_stream=io.BytesIO(long),
            environ_overrides=ENDLESS,
        )
        self.assertEqual(413, answer.status_code)

    def test_chunks(self) -> None:
        """A body of unknown length is read if the server knows its end."""
        body = self.server({'uuid': NET, 'pci_flavor': '10g'})
        self.post(
            '/servers',
            b'',
            input_stream=io.BytesIO(json.dumps(body).encode()),
            headers={'Transfer-Encoding': 'chunked'},
            environ_overrides=ENDLESS,
        )
        self.assertEqual({0: '10g'}, self.nova.names)
        self.assertEqual(
            self.server({'uuid': NET}), json.loads(self.nova.body)
        )

    def test_warnings(self) -> None:
        """Warnings are added to the headers of the answer."""
        answer = self.post('/warn/servers', self.server())
        self.assertEqual(
            ['299 pci-passthrough "it is late"'],
            answer.headers.getlist('Warning'),
        )
        self.assertEqual('kept', answer.headers['X-Own'])
        answer = self.post('/servers', self.server())
        self.assertNotIn('Warning', answer.headers)
