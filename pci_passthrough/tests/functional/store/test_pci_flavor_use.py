# SPDX-License-Identifier: Apache-2.0
"""Changing and deleting PCI flavors by which devices are held."""

from collections.abc import Callable
from concurrent import futures
import time
from typing import Any

import sqlalchemy as sa
import testscenarios

from pci_passthrough import claims
from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.store import models
from pci_passthrough.store.claims import adoption
from pci_passthrough.store.claims import claiming
from pci_passthrough.store.claims import transitions
from pci_passthrough.store.devices import lookup
from pci_passthrough.store.pci_flavors import editing
from pci_passthrough.store.pci_flavors import lookup as flavor_lookup
from pci_passthrough.store.pci_flavors import resolving
from pci_passthrough.tests.functional.store import base

load_tests = testscenarios.load_tests_apply_scenarios

_SMALL, _BIG = {'size': 'small'}, {'size': 'big'}
_ALL = [{'vendor_id': '10de'}]


class _UseTest(base.ClaimTest):
    def setUp(self) -> None:
        super().setUp()
        self.report(
            'h',
            [
                base.gpu(1, extra_info=_SMALL),
                base.gpu(2, extra_info=_SMALL),
                base.gpu(3, extra_info=_BIG),
            ],
        )
        self.flavor = flavor_lookup.get(self.db, 'gpu')

    def hold(self, count: int = 1, name: str = 'gpu') -> None:
        """Claim for the owner."""
        self.claim(
            'h', base.request(name, count=count), instance_uuid=self.owner
        )

    def names(self) -> list[str]:
        return [flavor.name for flavor in flavor_lookup.get_all(self.db)]

    def rows(self) -> list[str]:
        """Return the names in the table, those of deleted ones too."""
        with self.db.read() as connection:
            names = sa.select(models.pci_flavors.c.name).where(
                models.pci_flavors.c.origin.is_(None)
            )
            return sorted(connection.execute(names).scalars())


class DeletedTest(_UseTest):
    def delete(self) -> int:
        return editing.delete(self.db, 'gpu', force=True)

    def test_in_use(self) -> None:
        self.hold(2)
        other = base.new_id()
        self.claim('h', base.request('gpu'), instance_uuid=other)
        error = self.assertRaises(
            exception.PciFlavorInUse, editing.delete, self.db, 'gpu'
        )
        self.assertEqual(
            (3, sorted([self.owner, other])), (error.holders, error.instances)
        )

    def test_at_most_twenty_instances_are_named(self) -> None:
        self.report('many', [base.gpu(bus) for bus in range(1, 23)])
        for _ in range(22):
            self.claim('many', base.request('gpu'))
        error = self.assertRaises(
            exception.PciFlavorInUse, editing.delete, self.db, 'gpu'
        )
        self.assertEqual((22, 20), (error.holders, len(error.instances)))

    def test_it_is_there_for_nobody(self) -> None:
        self.hold(2)
        self.assertEqual(2, self.delete())
        self.assertNotIn('gpu', self.names())
        calls: list[Callable[[str], Any]] = [
            lambda name: flavor_lookup.get(self.db, name),
            lambda name: editing.delete(self.db, name, force=True),
            lambda name: editing.update(self.db, name, {'state': 'x'}),
            lambda name: editing.share(self.db, name, 'p', True),
            lambda name: resolving.resolve(
                self.db,
                [base.request(name)],
                take_disabled=True,
            ),
            lambda name: self.claim('h', base.request(name)),
            # Nor for who has devices by it.
            lambda name: self.claim(
                'h', base.request(name), instance_uuid=self.owner
            ),
        ]
        for name in ('gpu', self.flavor.uuid):
            for call in calls:
                self.assertRaises(exception.PciFlavorNotFound, call, name)

    def test_holders_keep_what_they_have(self) -> None:
        self.hold(2)
        self.delete()
        transitions.allocate(self.db, 'h', self.owner, 'test')
        held = lookup.get_all(self.db, instance_uuid=self.owner)
        self.assertEqual(
            [('allocated', self.flavor.uuid)] * 2,
            [(d.state, d.pci_flavor_uuid) for d in held],
        )
        self.assertEqual(2, len(self.free()))

    def test_name_is_free_with_the_last_holder(self) -> None:
        self.hold()
        other = base.new_id()
        self.claim('h', base.request('gpu'), instance_uuid=other)
        self.delete()
        for holders in (2, 1):
            for call in (
                lambda: editing.create(self.db, 'gpu', None, match=_ALL),
                lambda: editing.update(self.db, 'vf', {'name': 'gpu'}),
            ):
                error = self.assertRaises(exception.PciFlavorExists, call)
                self.assertEqual(holders, error.holders)
                self.assertIn('deleted', error.text)
            self.free()
        transitions.free(self.db, other, 'test')
        again = editing.create(self.db, 'gpu', None, match=_ALL)
        self.assertNotEqual(self.flavor.uuid, again.uuid)
        self.hold()
        self.assertEqual(len(base.FLAVORS), len(self.rows()))

    def test_row_goes_when_something_is_written(self) -> None:
        self.hold()
        self.delete()
        self.free()
        self.assertIn('gpu', self.rows())
        editing.update(self.db, 'vf', {'name': 'gpu'})
        self.assertEqual('gpu', flavor_lookup.get(self.db, 'gpu').name)
        editing.delete(self.db, 'gpu')
        self.assertEqual(
            sorted(base.FLAVORS.keys() - {'gpu', 'vf'}), self.rows()
        )

    def test_what_nothing_holds_goes_at_once(self) -> None:
        self.assertEqual(0, self.delete())
        self.assertNotIn('gpu', self.rows())

    def test_adoption_by_it_goes_on(self) -> None:
        self.hold()
        self.delete()
        [held] = lookup.get_all(self.db, instance_uuid=self.owner)
        free = next(d for d in lookup.get_all(self.db) if d.state != 'claimed')
        for device in (held, free):
            [adopted] = adoption.adopt(
                self.db,
                'h',
                self.owner,
                'r',
                [device.address],
                'nova-compute/h',
                self.flavor.uuid,
            )
            self.assertEqual(
                ('allocated', self.flavor.uuid),
                (adopted.state, adopted.pci_flavor_uuid),
            )

    def test_generation(self) -> None:
        self.assertRaises(
            exception.PciFlavorChanged, editing.delete, self.db, 'gpu', 2
        )
        self.assertEqual(0, editing.delete(self.db, 'gpu', 1))

    def test_repeated_by_its_row(self) -> None:
        """A commit whose answer was lost is repeated."""
        self.hold()
        for _ in range(2):
            self.assertEqual(1, editing._delete(self.db, self.flavor, 1, True))


class MatchTest(_UseTest):
    def change(self, size: str, force: bool = False) -> objects.PciFlavor:
        match = [{'vendor_id': '10de', 'e.size': size}]
        return editing.update(self.db, 'gpu', {'match': match}, force=force)

    def test_what_is_held_is_not_left_out(self) -> None:
        self.change('small')
        self.hold(2)
        error = self.assertRaises(exception.PciFlavorInUse, self.change, 'big')
        self.assertEqual((2, [self.owner]), (error.holders, error.instances))
        self.assertEqual(2, flavor_lookup.get(self.db, 'gpu').generation)
        self.change('<or> small <or> big')
        self.free()
        self.change('big')

    def test_what_is_left_out_is_counted_alone(self) -> None:
        self.hold(3)
        error = self.assertRaises(exception.PciFlavorInUse, self.change, 'big')
        self.assertEqual(2, error.holders)

    def test_by_force(self) -> None:
        self.hold(3)
        changed = self.change('big', force=True)
        self.assertEqual(2, changed.generation)
        self.assertEqual(3, len(self.free()))

    def test_what_did_not_fit_before_does_not_matter(self) -> None:
        self.hold(3)
        self.change('big', force=True)
        self.change('<or> big <or> huge')

    def test_what_is_held_by_others_does_not_matter(self) -> None:
        self.hold(1, 'big')
        self.change('small')

    def test_renamed_not_even_by_force(self) -> None:
        self.hold()
        self.assertRaises(
            exception.PciFlavorInUse,
            editing.update,
            self.db,
            'gpu',
            {'name': 'other'},
            force=True,
        )


class RaceTest(_UseTest):
    def setUp(self) -> None:
        super().setUp()
        self.other = self.open()

    def at(self, statement: str, call: Callable[[], Any]) -> list[Any]:
        """Call a function in another thread, just before a statement.

        :param statement: how it begins; the first of them counts.
        :returns: gets the future of the call.
        """
        pool = futures.ThreadPoolExecutor(1)
        self.addCleanup(pool.shutdown)
        started: list[Any] = []

        @sa.event.listens_for(self.db.engine, 'before_cursor_execute')
        def _start(
            connection: Any, cursor: Any, text: str, *args: Any
        ) -> None:
            if text.startswith(statement) and not started:
                started.append(pool.submit(call))
                # It gets as far as it can; what comes of it is the same if
                # that is not far.
                time.sleep(0.2)

        return started

    def elsewhere(self) -> list[objects.PciDevice]:
        """Claim a device of the PCI flavor as another process."""
        return claiming.claim(
            self.other,
            base.POLICY,
            claims.ClaimRequest(
                'h', base.new_id(), [base.request('gpu')], 'test'
            ),
        )

    def test_changed_while_a_claim_is_committed(self) -> None:
        change = {'match': [{'e.size': 'big'}]}
        self.report('h', [base.gpu(1, extra_info=_SMALL)])
        changing = self.at(
            'UPDATE pci_devices',
            lambda: editing.update(self.other, 'gpu', change),
        )
        self.hold()
        error = changing[0].exception()
        self.assertIsInstance(error, exception.PciFlavorInUse)
        self.assertEqual(_ALL, flavor_lookup.get(self.db, 'gpu').match)

    def test_claimed_while_a_change_is_committed(self) -> None:
        claiming = self.at('UPDATE pci_flavors', self.elsewhere)
        editing.update(self.db, 'gpu', {'match': [{'e.size': 'big'}]})
        [claimed] = claiming[0].result()
        self.assertEqual(_BIG, claimed.extra_info)

    def test_nothing_is_left_when_a_change_is_committed(self) -> None:
        self.report('h', [base.gpu(1, extra_info=_SMALL)])
        claiming = self.at('UPDATE pci_flavors', self.elsewhere)
        editing.update(self.db, 'gpu', {'match': [{'e.size': 'big'}]})
        error = claiming[0].exception()
        self.assertIsInstance(error, exception.ClaimRefused)
        self.assertEqual({'0000:01:00.0': 'available'}, self.states())

    def test_deleted_while_a_claim_is_committed(self) -> None:
        deleting = self.at(
            'UPDATE pci_devices',
            lambda: editing.delete(self.other, 'gpu', force=True),
        )
        self.hold()
        self.assertEqual(1, deleting[0].result())
        self.assertIn('gpu', self.rows())
        self.assertNotIn('gpu', self.names())
        self.assertEqual(1, len(self.free()))

    def test_claimed_while_a_deletion_is_committed(self) -> None:
        self.hold()
        for statement, force in (
            ('UPDATE pci_flavors', True),
            ('DELETE FROM pci_flavors', False),
        ):
            claiming = self.at(statement, self.elsewhere)
            editing.delete(self.db, 'gpu', force=force)
            error = claiming[0].exception()
            self.assertIsInstance(error, exception.PciFlavorNotFound)
            self.assertEqual('gpu', error.name)
            self.free()
            editing.create(self.db, 'gpu', None, match=_ALL)

    def test_forced_deletions_and_claims(self) -> None:
        for turn in range(6):
            name = f'turn{turn}'
            editing.create(self.db, name, None, match=_ALL)
            with futures.ThreadPoolExecutor(2) as pool:
                claiming = pool.submit(self.hold, 1, name)
                deleting = pool.submit(
                    editing.delete, self.other, name, None, True
                )
            error = claiming.exception()
            if error is not None:
                self.assertIsInstance(error, exception.PciFlavorNotFound)
            self.assertEqual(0 if error else 1, deleting.result())
            self.free()
        self.assertNotIn('turn', ''.join(self.names()))

    def test_twenty_changes_of_one_generation(self) -> None:
        def change(number: int) -> bool:
            try:
                editing.update(self.db, 'gpu', {'description': str(number)}, 1)
            except exception.PciFlavorChanged:
                return False
            return True

        with futures.ThreadPoolExecutor(20) as pool:
            self.assertEqual(1, sum(pool.map(change, range(20))))
        self.assertEqual(2, flavor_lookup.get(self.db, 'gpu').generation)

    def test_shared_with_many_at_once(self) -> None:
        projects = [f'p{number:02}' for number in range(10)]
        with futures.ThreadPoolExecutor(10) as pool:
            for shared in (True, False):
                list(
                    pool.map(
                        lambda project, shared=shared: editing.share(
                            self.db, 'gpu', project, shared
                        ),
                        projects,
                    )
                )
                after = flavor_lookup.get(self.db, 'gpu')
                self.assertEqual(projects if shared else [], after.access)
        self.assertEqual(21, after.generation)
