# SPDX-License-Identifier: Apache-2.0
"""Adopting devices that instances have already."""

import collections
from typing import Any

import sqlalchemy as sa
import testscenarios

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.objects import fields
from pci_passthrough.store import ledger
from pci_passthrough.store import models
from pci_passthrough.store.claims import adoption
from pci_passthrough.store.claims import repairs
from pci_passthrough.store.claims import transitions
from pci_passthrough.store.devices import lookup
from pci_passthrough.store.devices import operators
from pci_passthrough.store.devices import resolving
from pci_passthrough.store.pci_flavors import editing
from pci_passthrough.store.pci_flavors import lookup as flavor_lookup
from pci_passthrough.tests.functional.store import audit
from pci_passthrough.tests.functional.store import base
from pci_passthrough.tests.functional.store import claimer

load_tests = testscenarios.load_tests_apply_scenarios

_ONE, _TWO = '0000:01:00.0', '0000:02:00.0'


class _AdoptionTest(base.ClaimTest):
    def setUp(self) -> None:
        super().setUp()
        self.report('h', [base.gpu(1), base.gpu(2), *base.family(3, 2)])

    def adopt(
        self, *addresses: str, request_id: str = 'r', **arguments: Any
    ) -> list[objects.PciDevice]:
        return adoption.adopt(
            self.db,
            'h',
            arguments.pop('owner', self.owner),
            request_id,
            addresses,
            'nova-compute/h',
            **arguments,
        )

    def events(self, address: str) -> list[tuple[Any, ...]]:
        events = ledger.history(self.db, lookup.uuid_of('h', address))
        return [
            (e.action, e.from_state, e.to_state, e.instance_uuid)
            for e in events
        ][1:]


class RepairTest(_AdoptionTest):
    def note(self, repair: str, *addresses: str, host: str = 'h') -> None:
        repairs.note(
            self.db, host, self.owner, addresses, repair, 'nova-compute/h'
        )

    def test_note(self) -> None:
        for repair in fields.Repair.ALL:
            self.note(repair, _ONE, '0000:99:00.0')
        self.note(fields.Repair.FREE, _ONE, host='other')
        self.assertEqual(
            [
                (repair, 'available', 'available', self.owner)
                for repair in fields.Repair.ALL
            ],
            self.events(_ONE),
        )
        events = ledger.history(self.db, lookup.uuid_of('h', _ONE))
        reasons = {event.reason for event in events[1:]}
        self.assertEqual(len(fields.Repair.ALL), len(reasons - {None}))

    def test_unknown_repair(self) -> None:
        error = self.assertRaises(
            exception.InvalidRequest, self.note, 'repair-all', _ONE
        )
        self.assertIn('there is no such repair', str(error))
        self.assertEqual([], self.events(_ONE))

    def test_ended_holding_stays_ended(self) -> None:
        self.adopt(_ONE)
        self.report('h', [base.gpu(2)])
        resolving.resolve(self.db, f'h/{_ONE}', None, 'burnt', 'operator')
        self.report('h', [base.gpu(1), base.gpu(2)])
        self.note(fields.Repair.END, _ONE)
        error = self.assertRaises(
            exception.DeviceStateConflict, self.adopt, _ONE
        )
        self.assertEqual(fields.HOLDING_ENDED, error.state)


class AdoptTest(_AdoptionTest):
    def test_free_devices(self) -> None:
        adopted = self.adopt(_TWO, _ONE)
        self.assertEqual(
            [
                (address, 'allocated', self.owner, 'r', None)
                for address in (_ONE, _TWO)
            ],
            [
                (
                    d.address,
                    d.state,
                    d.instance_uuid,
                    d.request_id,
                    d.pci_flavor_uuid,
                )
                for d in adopted
            ],
        )
        self.assertEqual(
            [('adopt', 'available', 'allocated', self.owner)],
            self.events(_ONE),
        )
        self.assertEqual(2, len(self.free('h')))

    def test_repeated(self) -> None:
        first = self.adopt(_ONE)
        self.assertEqual(first, self.adopt(_ONE))
        self.assertEqual(1, len(self.events(_ONE)))
        both = self.adopt(_ONE, _TWO)
        self.assertEqual(first[0], both[0])
        self.assertEqual(1, len(self.events(_ONE)))

    def test_address_in_another_form(self) -> None:
        self.report('i', [base.device('0000:af:00.0')])
        [device] = adoption.adopt(
            self.db, 'i', self.owner, 'r', ['0000:AF:00.0'], 'me'
        )
        self.assertEqual('0000:af:00.0', device.address)

    def test_for_which_pci_flavor(self) -> None:
        gpu = flavor_lookup.get(self.db, 'gpu').uuid
        [adopted] = self.adopt(_ONE, pci_flavor_uuid=gpu)
        self.assertEqual(gpu, adopted.pci_flavor_uuid)
        # What is known is not forgotten.
        [adopted] = self.adopt(_ONE)
        self.assertEqual(gpu, adopted.pci_flavor_uuid)
        self.assertRaises(
            exception.PciFlavorInUse, editing.delete, self.db, 'gpu'
        )
        self.assertRaises(
            exception.PciFlavorNotFound,
            self.adopt,
            _TWO,
            pci_flavor_uuid=base.new_id(),
        )

    def test_project(self) -> None:
        [adopted] = self.adopt(_ONE)
        self.assertIsNone(adopted.project_id)
        for told in ('mine', None):
            [adopted] = self.adopt(_ONE, project_id=told)
            self.assertEqual('mine', adopted.project_id)
        transitions.free(self.db, self.owner, 'me')
        self.assertIsNone(lookup.get(self.db, f'h/{_ONE}').project_id)
        with self.db.read() as connection:
            events = connection.execute(
                sa.select(models.pci_device_events.c.project_id)
                .where(
                    models.pci_device_events.c.device_uuid
                    == lookup.uuid_of('h', _ONE)
                )
                .order_by(models.pci_device_events.c.id)
            )
            self.assertEqual(
                [None, None, 'mine', None], list(events.scalars())
            )

    def test_pci_flavor_of_what_is_held_as_read(self) -> None:
        gpu = flavor_lookup.get(self.db, 'gpu').uuid
        [one, two] = self.adopt(_ONE, _TWO)
        self.adopt(_TWO, request_id='other')
        self.assertEqual(
            [True, False, False],
            [
                adoption.set_pci_flavor(self.db, device, gpu, 'me')
                for device in (one, two, one)
            ],
        )
        [one, two] = (
            lookup.get(self.db, f'h/{address}') for address in (_ONE, _TWO)
        )
        self.assertEqual(
            [('r', gpu), ('other', None)],
            [(d.request_id, d.pci_flavor_uuid) for d in (one, two)],
        )
        self.assertEqual(2, len(self.events(_ONE)))

    def test_repeated_claim_finds_an_adopted_device(self) -> None:
        gpu = flavor_lookup.get(self.db, 'gpu').uuid
        adopted = self.adopt(_ONE, pci_flavor_uuid=gpu)
        claimed = self.claim(
            'h',
            base.request('gpu', request_id='r'),
            instance_uuid=self.owner,
        )
        self.assertEqual(adopted, claimed)

    def test_what_the_instance_has_already(self) -> None:
        [claimed] = self.claim(
            'h',
            base.request('gpu', request_id='old'),
            instance_uuid=self.owner,
        )
        [adopted] = self.adopt(claimed.address)
        self.assertEqual(
            ('allocated', 'r', claimed.pci_flavor_uuid),
            (adopted.state, adopted.request_id, adopted.pci_flavor_uuid),
        )
        self.assertEqual(
            ('adopt', 'claimed', 'allocated', self.owner),
            self.events(claimed.address)[-1],
        )

    def test_disabled(self) -> None:
        operators.disable(self.db, f'h/{_ONE}', 'hot', 'op')
        [adopted] = self.adopt(_ONE)
        self.assertEqual(
            ('allocated', 'hot'), (adopted.state, adopted.disabled_reason)
        )
        self.assertEqual(
            [('adopt', 'disabled', 'allocated', self.owner)],
            self.events(_ONE)[1:],
        )

    def test_all_or_none(self) -> None:
        other = base.new_id()
        self.adopt(_TWO, owner=other)
        error = self.assertRaises(
            exception.DeviceStateConflict, self.adopt, _ONE, _TWO
        )
        for word in (f'h/{_TWO}', other, 'allocated'):
            self.assertIn(word, error.text)
        self.assertEqual('available', self.states('h')[_ONE])

    def test_what_is_locked_away(self) -> None:
        operators.move(self.db, f'h/{_ONE}', 'quarantine', 'dirty', 'op')
        error = self.assertRaises(
            exception.DeviceStateConflict, self.adopt, _ONE
        )
        self.assertIn('quarantined', error.text)

    def test_what_is_not_there(self) -> None:
        error = self.assertRaises(
            exception.PciDeviceNotFound, self.adopt, _ONE, '0000:0f:00.0'
        )
        self.assertIn('h/0000:0f:00.0', error.text)
        self.assertRaises(
            exception.HostNotFound,
            adoption.adopt,
            *(self.db, 'x', self.owner, 'r', [_ONE], 'me'),
        )

    def test_malformed(self) -> None:
        for addresses, changes in (
            ((), {}),
            (('01/00.0',), {}),
            ((_ONE,), {'owner': 'x'}),
            ((_ONE,), {'request_id': ''}),
            ((_ONE,), {'request_id': 'x' * 65}),
        ):
            self.assertRaises(
                exception.InvalidRequest, self.adopt, *addresses, **changes
            )


class ExclusionTest(_AdoptionTest):
    PF, VF, OTHER_VF = '0000:03:00.0', '0000:03:01.0', '0000:03:01.1'

    def conflict(self, *addresses: str, **arguments: Any) -> str:
        error = self.assertRaises(
            exception.DeviceStateConflict, self.adopt, *addresses, **arguments
        )
        return error.text

    def test_physical_function_with_a_held_virtual_one(self) -> None:
        [held] = self.claim('h', base.request('vf'))
        text = self.conflict(self.PF)
        self.assertIn(held.address, text)
        self.assertIn(str(held.instance_uuid), text)

    def test_virtual_function_of_a_held_physical_one(self) -> None:
        self.adopt(self.PF)
        self.assertIn(self.PF, self.conflict(self.VF, owner=base.new_id()))
        # Not even for the instance that has the whole.
        self.assertIn(self.PF, self.conflict(self.VF))

    def test_both_at_once(self) -> None:
        text = self.conflict(self.PF, self.VF)
        self.assertIn('the same adoption', text)

    def test_virtual_functions_beside_each_other(self) -> None:
        self.adopt(self.VF)
        self.adopt(self.OTHER_VF, owner=base.new_id())
        self.assertEqual(
            [('pf', 'all_held', 1, 0)],
            self.refused('h', base.request('pf')),
        )

    def test_repeated_although_excluded_meanwhile(self) -> None:
        # As after a repair by hand: what is recorded is not taken away.
        first = self.adopt(self.PF)
        self.assertEqual(first, self.adopt(self.PF))


class RaceTest(base.StoreTest):
    """Many processes claim and adopt the same devices."""

    scenarios = base.SERVERS

    def test_no_device_is_given_twice(self) -> None:
        self.flavors()
        devices = [
            *map(base.gpu, range(1, 9)),
            *base.family(0x20, 4),
            *base.family(0x21, 4),
        ]
        self.report('h', devices)
        errors = claimer.run(
            claimer.take_and_adopt, self.url, 8, [d.address for d in devices]
        )
        self.assertEqual([], errors)
        self.assertEqual([], audit.violations(self.db))
        held = [d for d in lookup.get_all(self.db) if d.instance_uuid]
        self.assertTrue(held)
        actions = collections.Counter(
            event.action
            for device in held
            for event in ledger.history(self.db, device.uuid)
        )
        self.assertTrue(actions['adopt'] and actions['claim'], actions)
        for device in held:
            transitions.free(self.db, str(device.instance_uuid), 'test', 'h')
        self.assertEqual({'available'}, set(self.states().values()))
