# SPDX-License-Identifier: Apache-2.0
"""Operators' actions on devices, by name."""

import testscenarios

from pci_passthrough import exception
from pci_passthrough.objects import lifecycle
from pci_passthrough.store import hosts
from pci_passthrough.store import ledger
from pci_passthrough.store.devices import lookup
from pci_passthrough.store.devices import operators
from pci_passthrough.tests.functional.store import base

load_tests = testscenarios.load_tests_apply_scenarios

_GPU = 'h/0000:01:00.0'


class ActTest(base.StoreTest):
    def setUp(self) -> None:
        super().setUp()
        self.report('h', [base.gpu(1)])

    def test_actions(self) -> None:
        for action, reason, state in (
            ('disable', 'hot', 'disabled'),
            ('enable', '', 'available'),
            ('quarantine', 'odd', 'quarantined'),
            ('release', 'fine', 'available'),
            ('clean', 'dust', 'cleaning'),
        ):
            if action == 'clean':
                self.report('h', [base.gpu(1, handlers=['reset'])])
            after = operators.act(self.db, _GPU, action, reason, 'op')
            self.assertEqual(state, after.state)
        events = [
            (event.action, event.reason)
            for event in ledger.history(self.db, after.uuid)
            if event.actor == 'op'
        ]
        reasons = ['hot', None, 'odd', 'fine', 'dust']
        self.assertEqual(
            list(zip(lifecycle.OPERATOR_ACTIONS, reasons, strict=True)), events
        )

    def test_words_of_others_stay(self) -> None:
        operators.act(self.db, _GPU, 'disable', 'ECC errors', 'op')
        same = operators.act(self.db, _GPU, 'disable', 'ECC errors', 'other')
        self.assertEqual('ECC errors', same.disabled_reason)
        error = self.assertRaises(
            exception.DeviceStateConflict,
            operators.act,
            self.db,
            _GPU,
            'disable',
            'loud',
            'other',
        )
        self.assertIn(
            'cannot disable while it is disabled (ECC errors); possible from: '
            'enabled',
            error.text,
        )
        after = lookup.get(self.db, _GPU)
        self.assertEqual('ECC errors', after.disabled_reason)
        actions = [e.action for e in ledger.history(self.db, after.uuid)]
        self.assertEqual(['appear', 'disable'], actions)
        operators.act(self.db, _GPU, 'enable', '', 'other')
        operators.act(self.db, _GPU, 'disable', 'loud', 'other')

    def test_what_is_wrong(self) -> None:
        for action, reason, actor in (
            ('explode', 'why not', 'op'),
            ('claim', 'mine', 'op'),
            ('disable', '', 'op'),
            ('quarantine', ' ', 'op'),
            ('enable', 'two\nlines', 'op'),
            ('disable', '\ud800', 'op'),
            ('disable', 'x' * 256, 'op'),
            ('disable', 'hot', 'a\0b'),
        ):
            self.assertRaises(
                exception.Invalid,
                operators.act,
                self.db,
                _GPU,
                action,
                reason,
                actor,
            )
        self.assertEqual({'0000:01:00.0': 'available'}, self.states())

    def test_no_such_device(self) -> None:
        for device in ('', 'x', 'h/x', 'a\0/b', '\ud800/x', base.new_id()):
            self.assertRaises(
                exception.PciDeviceNotFound,
                operators.act,
                self.db,
                device,
                'enable',
                '',
                'op',
            )

    def test_no_such_host(self) -> None:
        for host in ('x', 'a\0b', '\ud800'):
            with self.db.write() as connection:
                self.assertRaises(
                    exception.HostNotFound, hosts.lock, connection, host
                )
