# SPDX-License-Identifier: Apache-2.0
"""What the agents and conductors of earlier releases say is understood."""

import json
import pathlib
from typing import Any

import fixtures
import testtools

from pci_passthrough import objects
from pci_passthrough.store import devices
from pci_passthrough.tests.functional.services import wire
from pci_passthrough.tests.unit.rpc import driver

_RECORDED = pathlib.Path(__file__).parent


class WireTest(testtools.TestCase):
    """The recorded calls, in the order in which they were made."""

    def setUp(self) -> None:
        super().setUp()
        folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.endpoint = wire.Endpoint(folder)
        self.addCleanup(self.endpoint.db.close)

    def recorded(self, version: str) -> dict[str, dict[str, Any]]:
        return {
            path.stem: json.loads(path.read_text())
            for path in sorted((_RECORDED / f'wire-{version}').iterdir())
        }

    def test_conductor_understands_calls_of_1_0(self) -> None:
        states = []
        for call in self.recorded('1.0').values():
            answer = self.endpoint.answer(call['call'])
            # It may have grown since: an older caller has it made older.
            self.assertEqual(
                call['answer']['pci_passthrough_object.name'],
                answer['pci_passthrough_object.name'],
            )
            self.assertEqual(
                set(),
                call['answer']['pci_passthrough_object.data'].keys()
                - answer['pci_passthrough_object.data'].keys(),
            )
            states.append(
                sorted(d.state for d in devices.get_all(self.endpoint.db))
            )
        free, changed = ['available'] * 4, ['available'] * 2
        self.assertEqual(
            [
                free,
                free,
                changed,
                ['available', 'claimed'],
                ['allocated', 'available'],
                ['allocated', 'available'],
                changed,
            ],
            states,
        )

    def test_callers_understand_answers_of_1_0(self) -> None:
        recorded = self.recorded('1.0')
        client, _ = driver.client(lambda message: answers.pop(0))
        answers = [
            recorded[name]['answer']
            for name in ('2-heartbeat', '4-claim', '7-free')
        ]
        self.assertEqual(1, client.heartbeat('h', 1, 'd').generation)
        [claimed] = client.claim('h', wire.INSTANCE, [], 'nova')
        self.assertIsInstance(claimed, objects.PciDevice)
        self.assertEqual('claimed', claimed.state)
        [freed] = client.free('h', wire.INSTANCE, 'nova')
        self.assertEqual('available', freed.state)

    def test_all_methods_are_recorded(self) -> None:
        methods = {c['call']['method'] for c in self.recorded('1.0').values()}
        self.assertEqual(
            {'report', 'heartbeat', 'claim', 'allocate', 'abort', 'free'},
            methods,
        )
