# SPDX-License-Identifier: Apache-2.0
"""Random and odd names, values and bodies.

None causes a status of 500 or more, and an accepted value is returned
unchanged.
"""

import json
from typing import Any

import hypothesis
from hypothesis import strategies as st
import testscenarios
import testtools
from werkzeug import test

from pci_passthrough.api import routing
from pci_passthrough.tests.functional.api import fixture
from pci_passthrough.tests.functional.api import odd_strings
from pci_passthrough.tests.functional.api import world
from pci_passthrough.tests.functional.store import base as store_base

load_tests = testscenarios.load_tests_apply_scenarios

_FLAVORS = '/v1/pci-flavors'
_MATCH = [{'vendor_id': '10de'}]

_settings = hypothesis.settings(
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)

_texts = st.one_of(
    st.sampled_from(odd_strings.ALL),
    # Surrogates, too: JSON can write them.
    st.text(st.characters(codec=None), max_size=20),
)

_json = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.integers(min_value=10**300, max_value=10**301),
        _texts,
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(_texts, inner, max_size=4)
    ),
    max_leaves=8,
)

_optional = ('description', 'access', 'project_id', 'is_public', 'state')

_bodies = st.one_of(
    _json,
    st.fixed_dictionaries(
        {'name': _texts, 'match': st.just(_MATCH)},
        optional={name: st.one_of(_json, _texts) for name in _optional},
    ),
    st.fixed_dictionaries(
        {
            'name': st.just('x'),
            'match': st.lists(
                st.dictionaries(
                    st.one_of(
                        st.sampled_from(['vendor_id', 'e.a', 'driver']),
                        _texts,
                    ),
                    st.one_of(_texts, st.lists(_texts, max_size=3), _json),
                    max_size=3,
                ),
                max_size=3,
            ),
        }
    ),
)


class _FuzzTest(testtools.TestCase):
    def serve(self, database_url: str | None = None) -> None:
        self.api = self.useFixture(
            fixture.ApiFixture(database_url, served=False)
        )
        self.client = world.Client(self.api, world.ADMIN)

    def ask(
        self, method: str, path: str, body: Any = None, **query: Any
    ) -> Any:
        """Send a request, and check that the status is below 500."""
        headers = {'If-Match': '*'} if method == 'PATCH' else None
        answer = self.client.ask(method, path, body, headers, **query)
        self.assertLess(answer.status_code, 500, (method, path, body, query))
        self.assertNotIn('X-Injected', answer.headers)
        if answer.status_code >= 400:
            [error] = answer.json['errors']
            self.assertEqual(answer.status_code, error['status'])
            self.assertLess(len(answer.data), 10_000)
        return answer

    def keeps(self, body: dict[str, Any]) -> bool:
        """Return whether a PCI flavor could be created; if so, it was kept."""
        answer = self.ask('POST', _FLAVORS, body)
        if answer.status_code != 201:
            self.assertEqual(400, answer.status_code, answer.text)
            return False
        path = f'{_FLAVORS}/{answer.json["uuid"]}'
        for shown in (
            answer.json,
            self.ask('GET', path).json,
            self.ask('GET', f'{_FLAVORS}/{body["name"]}').json,
            *self.ask('GET', _FLAVORS, name=body['name']).json['pci_flavors'],
        ):
            self.assertEqual(
                body | {'access': sorted(set(body.get('access', [])))},
                {name: shown[name] for name in body} | _access(shown),
            )
        self.assertEqual(204, self.ask('DELETE', path).status_code)
        return True


def _access(flavor: Any) -> dict[str, Any]:
    return {'access': flavor['access']}


class BodiesTest(_FuzzTest):
    def setUp(self) -> None:
        super().setUp()
        self.serve()
        self.api.add_flavor('gpu')

    def test_generated(self) -> None:
        """Dry runs: they check the same and wait for no conductor."""

        @hypothesis.settings(_settings, max_examples=150)
        @hypothesis.given(_bodies)
        def check(body: Any) -> None:
            answer = self.ask('POST', _FLAVORS, body, dry_run='true')
            if answer.status_code == 200:
                shown = answer.json['pci_flavor']
                for name, value in body.items():
                    if name == 'access':
                        value = sorted(value)
                    self.assertEqual(value, shown[name])
            self.ask('PATCH', f'{_FLAVORS}/gpu', body, dry_run='true')

        check()

    def test_generated_bytes(self) -> None:
        @hypothesis.settings(_settings, max_examples=60)
        @hypothesis.given(st.binary(max_size=40))
        def check(body: bytes) -> None:
            answer = self.ask('POST', _FLAVORS, b'{"name": ' + body)
            self.assertEqual(400, answer.status_code)

        check()

    def test_deep(self) -> None:
        for start, end in (('[', ']'), ('{"a":', '}')):
            for body in (start * 10**5, start * 30_000 + '1' + end * 30_000):
                text = body[: 256 * 1024].encode()
                answer = self.ask('POST', _FLAVORS, text)
                self.assertIn(answer.status_code, (400, 413))

    def test_long(self) -> None:
        body = json.dumps({'name': 'a' * 10**6, 'match': _MATCH}).encode()
        self.assertEqual(413, self.ask('POST', _FLAVORS, body).status_code)
        body = b' ' * (256 * 1024)
        self.assertEqual(400, self.ask('POST', _FLAVORS, body).status_code)

    def test_without_a_length(self) -> None:
        """A chunked body without an end is refused."""
        environ = test.create_environ(
            _FLAVORS,
            method='POST',
            headers={
                'X-Auth-Token': world.ADMIN,
                'Transfer-Encoding': 'chunked',
            },
            content_type='application/json',
        )
        environ |= {'wsgi.input': _Endless(), 'wsgi.input_terminated': True}
        _, status, _ = test.run_wsgi_app(self.api.application, environ)
        self.assertEqual('413', status[:3])

    def test_numbers(self) -> None:
        for number in ('1' * 5000, '-1', '1e400', '1.5', '2147483648', '1e0'):
            body = b'{"generation": %s, "description": "x"}' % number.encode()
            answer = self.ask('PATCH', f'{_FLAVORS}/gpu', body)
            expected = (400, 409) if number != '1e0' else (200, 400)
            self.assertIn(answer.status_code, expected, number)

    def test_the_largest_is_kept(self) -> None:
        """The largest match is kept: most alternatives, longest values."""
        match = [
            {f'e.key{n}': [f'{n}{"v" * 100}' for _ in range(5)]}
            for n in range(64)
        ]
        self.assertTrue(self.keeps({'name': 'large', 'match': match}))
        self.assertTrue(
            self.keeps(
                {
                    'name': 'long',
                    'match': _MATCH,
                    'description': '\U0001f3ae' * 16000,
                    'access': [f'{n:0255}' for n in range(200)],
                }
            )
        )


class _Endless:
    """A body without an end."""

    def read(self, size: int = -1) -> bytes:
        return b' ' * (size if size >= 0 else 1024)

    def readline(self, size: int = -1) -> bytes:
        return self.read(size)


class PathsAndQueriesTest(_FuzzTest):
    def setUp(self) -> None:
        super().setUp()
        self.api = self.useFixture(world.WorldFixture(served=False))
        self.client = world.Client(self.api, world.ADMIN)

    def test_paths(self) -> None:
        for text in odd_strings.ALL:
            for route in routing.ROUTES:
                if '{' not in route.path or '\n' in text:
                    continue
                path = route.path.format(
                    pci_flavor=text,
                    pci_device=text,
                    project_id=text,
                    host=text,
                )
                body = None
                if route.body is not None:
                    body = {'action': 'enable'} if 'dev' in path else {}
                self.ask(route.method, path, body)

    def test_sharing(self) -> None:
        for text in odd_strings.ALL:
            if not text.isprintable():
                # Those of test_paths; URLs have no half characters.
                continue
            answer = self.ask('PUT', f'{_FLAVORS}/gpu/access/{text}')
            if answer.status_code == 204:
                path = f'{_FLAVORS}/gpu/access'
                self.assertIn(text, self.ask('GET', path).json['access'])

    def test_queries(self) -> None:
        """Wrong numbers, choices and parameters in a query."""
        for text in odd_strings.ALL:
            path = f'{_FLAVORS}/gpu/availability'
            self.ask('GET', path, count=text)
            self.ask('GET', _FLAVORS, sort=text, name=text)
            self.ask('GET', _FLAVORS, marker=text)
            self.ask('GET', _FLAVORS, state=[text, text])
            self.ask('GET', _FLAVORS, **{text: '1'})

    def test_bytes_that_are_no_text(self) -> None:
        """Bytes that are not UTF-8 are refused, and not replaced."""
        prefix = b'/v1/pci-flavors/'
        for path, query in (
            (b'/\xff', ''),
            (prefix + b'\xff', ''),
            (prefix + b'\xed\xa0\x80', ''),
            (b'/v1/pci-devices/\x80/history', ''),
            (prefix[:-1], 'name=%ff'),
            (prefix[:-1], '%ff=1'),
            (prefix[:-1], 'marker=%ed%a0%80'),
            (b'/v1/hosts', 'host=%c3%28'),
        ):
            environ = test.create_environ(
                query_string=query, headers={'X-Auth-Token': world.ADMIN}
            )
            # As WSGI has it, and not as Werkzeug's own servers mend it.
            environ['PATH_INFO'] = path.decode('latin-1')
            _, status, _ = test.run_wsgi_app(self.api.application, environ)
            expected = ('400', '200') if query else ('400',)
            self.assertIn(status[:3], expected, f'{path!r} {query}')

    def test_headers(self) -> None:
        for name in ('If-Match', 'If-None-Match', 'OpenStack-API-Version'):
            for text in (
                '"', '""', 'W/', 'W/"', ',', '*, *', '*"', '\\', 'ÿ', '"é"',
                'x' * 5000, '"' * 5000, 'pci-passthrough',
                'pci-passthrough ', 'pci-passthrough 1', 'pci-passthrough 1.',
                'pci-passthrough 1.0.0', 'pci-passthrough -1.0',
                'pci-passthrough 1.00000000000000000000000000000000001',
                'pci-passthrough \xb2.0', 'pci-passthrough 1_0.0',
            ):  # fmt: skip
                for method in ('GET', 'PATCH'):
                    answer = self.client.ask(
                        method,
                        f'{_FLAVORS}/fpga',
                        {} if method == 'PATCH' else None,
                        {name: text},
                    )
                    self.assertLess(answer.status_code, 500, (name, text))


class KeptTest(_FuzzTest):
    """Texts that a database could misinterpret."""

    scenarios = store_base.SCENARIOS
    server: Any = None

    def setUp(self) -> None:
        super().setUp()
        self.serve(self.server and store_base.empty_url(self.server))
        self.strings = (
            odd_strings.FOR_DATABASES if self.server else odd_strings.ALL
        )

    def test_pci_flavors(self) -> None:
        """Odd names, descriptions, tags and projects are kept."""
        kept = set()
        for text in self.strings:
            fields = {
                'name': text,
                'description': text,
                'match': [{'e.a': text}],
                'access': [text],
                'project_id': text,
            }
            body: dict[str, Any] = {'name': 'x', 'match': _MATCH}
            for name, value in fields.items():
                candidate = {**body, name: value}
                dry = self.ask('POST', _FLAVORS, candidate, dry_run='true')
                if dry.status_code == 200:
                    body = candidate
            if body['name'] == text:
                kept.add(text)
            self.assertTrue(self.keeps(body), body)
        self.assertIn("'; DROP TABLE pci_flavors; --", kept)
        self.assertIn('\U0001f3ae' * 255, kept)
        self.assertNotIn('a\x00b', kept)
        self.assertNotIn('\ud800', kept)
        self.assertNotIn('gpu ', kept)

    def test_alike_names_are_different(self) -> None:
        """Similar names differ, whatever the collation of the database."""
        alike = ['gpu', 'GPU', 'gpü', 'ss', 'ß', 'é', 'e\u0301', 'İ', 'i']
        for name in alike:
            self.api.add_flavor(name)
        for name in alike:
            flavor = self.ask('GET', f'{_FLAVORS}/{name}').json
            self.assertEqual(name, flavor['name'])
            [flavor] = self.ask('GET', _FLAVORS, name=name).json['pci_flavors']
            self.assertEqual(name, flavor['name'])

    def test_reasons(self) -> None:
        self.api.add_host('host', [store_base.gpu(1)])
        path = f'/v1/pci-devices/{world.device_uuid("host", "0000:01:00.0")}'
        for text in odd_strings.FOR_DATABASES:
            answer = self.ask(
                'PATCH', path, {'action': 'disable', 'reason': text}
            )
            if answer.status_code != 200:
                self.assertEqual(400, answer.status_code)
                continue
            self.assertEqual(text, answer.json['disabled_reason'])
            device = self.ask('GET', path).json
            self.assertEqual(text, device['disabled_reason'])
            [event] = self.ask('GET', f'{path}/history', limit=1).json[
                'events'
            ]
            self.assertEqual(text, event['reason'])
            self.ask('PATCH', path, {'action': 'enable'})

    def test_filters_and_markers(self) -> None:
        self.api.add_host('host', [store_base.gpu(1)])
        self.api.add_flavor('gpu')
        filters = {
            'pci-flavors': ('name', 'project_id', 'marker'),
            'pci-devices': (
                'host', 'address', 'instance_uuid', 'held_by', 'pci_flavor',
                'vendor_id', 'marker',
            ),
            'pci-pools': ('host', 'pci_flavor', 'vendor_id', 'marker'),
            'hosts': ('host', 'marker'),
        }  # fmt: skip
        for text in odd_strings.FOR_DATABASES:
            for noun, names in filters.items():
                for name in names:
                    answer = self.ask('GET', f'/v1/{noun}', **{name: text})
                    if answer.status_code == 200:
                        [items] = answer.json.values()
                        self.assertEqual([], items, f'{noun} {name} {text!r}')
