# SPDX-License-Identifier: Apache-2.0
"""Concurrent changes of one PCI flavor: none is lost."""

from collections.abc import Callable
from concurrent import futures
import json
import random
import time
from typing import Any
import urllib.error
import urllib.request

import testscenarios
import testtools

from pci_passthrough.tests.functional import servers
from pci_passthrough.tests.functional.api import fixture
from pci_passthrough.tests.functional.store import base as store_base

load_tests = testscenarios.load_tests_apply_scenarios

#: The most times that an editor repeats.
_MOST_ATTEMPTS = 100


class EditorsTest(testtools.TestCase):
    """Many editors; each reads, changes, and repeats on 412."""

    scenarios = [
        ('sqlite', {'server': None, 'editors': 100}),
        ('mariadb', {'server': servers.MariaDB, 'editors': 20}),
    ]
    server: type[servers.Database] | None
    editors: int

    def setUp(self) -> None:
        super().setUp()
        url = None
        if self.server is not None:
            url = store_base.empty_url(self.server)
        self.api = self.useFixture(fixture.ApiFixture(url))
        self.api.add_flavor('gpu', match=[{'e.group': ['0']}])
        self.url = f'{self.api.url}/v1/pci-flavors/gpu'

    def ask(
        self, method: str, body: Any = None, **headers: str
    ) -> tuple[int, Any, str]:
        """Return status, body and ETag."""
        request = urllib.request.Request(  # noqa: S310
            self.url,
            None if body is None else json.dumps(body).encode(),
            {
                'X-Auth-Token': fixture.ADMIN,
                'Content-Type': 'application/json',
                **headers,
            },
            method=method,
        )
        try:
            with urllib.request.urlopen(request) as answer:  # noqa: S310
                text, status = answer.read(), answer.status
                return status, json.loads(text), answer.headers['ETag']
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error), ''

    def add(self, group: str) -> None:
        """Add a value to the match of the PCI flavor."""
        # As clients do: the later, the fewer are in each other's way.
        pause = random.Random(group)
        for attempt in range(_MOST_ATTEMPTS):
            _, before, tag = self.ask('GET')
            [term] = before['match']
            match = [{'e.group': [*term['e.group'], group]}]
            status, _, _ = self.ask(
                'PATCH', {'match': match}, **{'If-Match': tag}
            )
            if status == 200:
                return
            self.assertEqual(412, status)
            time.sleep(pause.uniform(0, min(8, 2 ** (attempt + 1))))
        self.fail('others are always faster')

    def run_all(self, editor: Callable[[str], Any], count: int) -> list[Any]:
        groups = [str(number + 1) for number in range(count)]
        with futures.ThreadPoolExecutor(count) as pool:
            return list(pool.map(editor, groups))

    def test_nothing_is_lost(self) -> None:
        self.run_all(self.add, self.editors)
        _, flavor, _ = self.ask('GET')
        [term] = flavor['match']
        self.assertEqual(
            {str(number) for number in range(self.editors + 1)},
            set(term['e.group']),
        )
        self.assertEqual(self.editors + 1, len(term['e.group']))
        self.assertEqual(self.editors + 1, flavor['generation'])

    def test_of_those_with_one_generation_one_wins(self) -> None:
        def edit(group: str) -> tuple[int, str]:
            status, body, _ = self.ask(
                'PATCH', {'description': group, 'generation': 1}
            )
            if status == 200:
                return status, body['description']
            return status, body['errors'][0]['code']

        answers = self.run_all(edit, 8)
        won = [text for status, text in answers if status == 200]
        _, flavor, _ = self.ask('GET')
        self.assertEqual([flavor['description']], won)
        self.assertEqual(2, flavor['generation'])
        answers.remove((200, won[0]))
        self.assertEqual({(409, 'pci_flavor.changed')}, set(answers))
