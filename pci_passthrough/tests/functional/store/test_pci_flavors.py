# SPDX-License-Identifier: Apache-2.0
"""PCI flavors: kept, changed, shared and found by name."""

from concurrent import futures
from typing import Any

import testscenarios

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.store import pci_flavors
from pci_passthrough.tests.functional.store import base

load_tests = testscenarios.load_tests_apply_scenarios

_MATCH = [{'vendor_id': '10de'}]


class PciFlavorTest(base.StoreTest):
    def create(self, name: str = 'gpu', **values: Any) -> objects.PciFlavor:
        """Create a PCI flavor of the operator."""
        return pci_flavors.create(
            self.db, name, None, **{'match': _MATCH} | values
        )

    def names(self, project_id: str | None = None) -> list[str]:
        """Return the names that a project sees."""
        return [f.name for f in pci_flavors.get_all(self.db, project_id)]


class LifeTest(PciFlavorTest):
    def test_create_get_update_delete(self) -> None:
        created = pci_flavors.create(
            self.db,
            'gpu',
            'owner',
            match=[{'vendor_id': '10de', 'e.group': ['a', 'b']}],
            description='80 GiB',
            vnic_type='direct',
            numa_policy='socket',
            is_public=False,
            access=['p2', 'p1', 'p1'],
        )
        self.assertEqual(created, pci_flavors.get(self.db, 'gpu'))
        self.assertEqual(created, pci_flavors.get(self.db, created.uuid))
        self.assertEqual(['p1', 'p2'], created.access)
        self.assertEqual(1, created.generation)
        self.assertIsNotNone(created.created_at)
        changed = pci_flavors.update(
            self.db, 'gpu', {'name': 'big', 'access': [], 'state': 'disabled'}
        )
        self.assertEqual(
            ('big', [], 'disabled', 2, created.uuid),
            (
                changed.name,
                changed.access,
                changed.state,
                changed.generation,
                changed.uuid,
            ),
        )
        self.assertEqual(created.match, changed.match)
        pci_flavors.delete(self.db, 'big')
        self.assertEqual([], self.names())

    def test_unknown(self) -> None:
        for name in ('nope', '', "'; DROP TABLE pci_flavors; --", 'a\0b', '%'):
            for call in (
                lambda n=name: pci_flavors.get(self.db, n),
                lambda n=name: pci_flavors.delete(self.db, n),
                lambda n=name: pci_flavors.update(self.db, n, {'name': 'a'}),
            ):
                self.assertRaises(exception.PciFlavorNotFound, call)

    def test_invalid(self) -> None:
        wrong: list[dict[str, Any]] = [
            {'match': []},
            {'match': [{'nonsense': '1'}]},
            {'state': 'gone'},
            {'vnic_type': 'normal'},
            {'description': 'a\0b'},
            {'uuid': 'mine'},
        ]
        for values in wrong:
            self.assertRaises(
                exception.InvalidPciFlavor, self.create, **values
            )
        self.assertEqual([], self.names())

    def test_generation(self) -> None:
        self.create()
        pci_flavors.update(self.db, 'gpu', {'description': 'a'}, 1)
        self.assertRaises(
            exception.PciFlavorChanged,
            pci_flavors.update,
            self.db,
            'gpu',
            {'description': 'b'},
            1,
        )
        after = pci_flavors.update(self.db, 'gpu', {'description': 'b'}, 2)
        self.assertEqual(('b', 3), (after.description, after.generation))

    def test_repeated_update_changes_nothing(self) -> None:
        # As after a commit whose answer was lost.
        self.create()
        change = {'description': 'a', 'access': ['p']}
        first = pci_flavors.update(self.db, 'gpu', change, 1)
        self.assertEqual(first, pci_flavors.update(self.db, 'gpu', change, 1))

    def test_one_of_several_updates_wins(self) -> None:
        self.create()

        def update(text: str) -> bool:
            try:
                pci_flavors.update(self.db, 'gpu', {'description': text}, 1)
            except exception.PciFlavorChanged:
                return False
            return True

        with futures.ThreadPoolExecutor(4) as pool:
            winners = sum(pool.map(update, 'abcd'))
        self.assertEqual(1, winners)
        self.assertEqual(2, pci_flavors.get(self.db, 'gpu').generation)


class NameTest(PciFlavorTest):
    def test_taken(self) -> None:
        self.create('gpu')
        self.create('nic')
        self.assertRaises(exception.PciFlavorExists, self.create, 'gpu')
        self.assertRaises(
            exception.PciFlavorExists,
            pci_flavors.update,
            self.db,
            'nic',
            {'name': 'gpu'},
        )

    def test_unique_to_the_letter(self) -> None:
        names = ['GPU', 'Gpu', 'gpu', 'gp\u00fc', 'gpu\u0308']
        for name in names:
            self.create(name)
        self.assertEqual(sorted(names), sorted(self.names()))
        for name in names:
            self.assertEqual(name, pci_flavors.get(self.db, name).name)
        self.assertRaises(
            exception.PciFlavorNotFound, pci_flavors.get, self.db, 'GpU'
        )

    def test_any_text(self) -> None:
        names = [
            "Robert'); DROP TABLE pci_flavors;--",
            'a%b_c',
            '\U0001f40d \u5927',
            'back\\slash "quoted" {0} ?1 %(x)s',
            'x' * 255,
        ]
        for name in names:
            created = self.create(name, description=name)
            self.assertEqual(created, pci_flavors.get(self.db, name))
        self.assertEqual(set(names), set(self.names()))

    def test_anothers_uuid_is_no_name(self) -> None:
        flavor = self.create()
        for name in (flavor.uuid, flavor.uuid.upper()):
            self.assertRaises(exception.InvalidPciFlavor, self.create, name)

    def test_same_name_at_once(self) -> None:
        def create(_: int) -> bool:
            try:
                self.create('gpu')
            except exception.PciFlavorExists:
                return False
            return True

        with futures.ThreadPoolExecutor(4) as pool:
            self.assertEqual(1, sum(pool.map(create, range(4))))

    def test_name_is_free_again(self) -> None:
        first = self.create()
        pci_flavors.delete(self.db, 'gpu')
        self.assertNotEqual(first.uuid, self.create().uuid)


class AccessTest(PciFlavorTest):
    def test_what_is_no_project(self) -> None:
        for project_id in ('', ' p', 'p\n', 'p' * 256):
            for owner, access in ((None, [project_id]), (project_id, [])):
                self.assertRaises(
                    exception.InvalidPciFlavor,
                    pci_flavors.create,
                    self.db,
                    'gpu',
                    owner,
                    match=_MATCH,
                    access=access,
                )
        self.assertEqual([], self.names())

    def test_who_sees_what(self) -> None:
        self.create('public')
        self.create('hidden', is_public=False)
        self.create('shared', is_public=False, access=['friend', 'Friend'])
        pci_flavors.create(
            self.db, 'own', 'owner', match=_MATCH, is_public=False
        )
        everything = ['hidden', 'own', 'public', 'shared']
        for project_id, expected in (
            (None, everything),
            ('stranger', ['public']),
            ('friend', ['public', 'shared']),
            ('FRIEND', ['public']),
            ('owner', ['own', 'public']),
        ):
            self.assertEqual(expected, self.names(project_id))
            for name in everything:
                self._get(name, project_id, name in expected)

    def test_deleted_with_its_access(self) -> None:
        self.create(is_public=False, access=['p'])
        pci_flavors.delete(self.db, 'gpu')
        self.create(is_public=False)
        self._get('gpu', 'p', False)

    def _get(self, name: str, project_id: str | None, works: bool) -> None:
        if works:
            pci_flavors.get(self.db, name, project_id)
        else:
            self.assertRaises(
                exception.PciFlavorNotFound,
                pci_flavors.get,
                self.db,
                name,
                project_id,
            )
