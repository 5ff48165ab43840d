# SPDX-License-Identifier: Apache-2.0
"""Storing, changing, sharing and finding PCI flavors."""

from concurrent import futures
from typing import Any

import testscenarios

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.store.pci_flavors import editing
from pci_passthrough.store.pci_flavors import lookup
from pci_passthrough.tests.functional.store import base

load_tests = testscenarios.load_tests_apply_scenarios

_MATCH = [{'vendor_id': '10de'}]


class PciFlavorTest(base.StoreTest):
    def create(self, name: str = 'gpu', **values: Any) -> objects.PciFlavor:
        """Create a PCI flavor of the operator."""
        return editing.create(
            self.db, name, None, **{'match': _MATCH} | values
        )

    def names(self, project_id: str | None = None) -> list[str]:
        """Return the names that a project sees."""
        return [f.name for f in lookup.get_all(self.db, project_id)]


class LifeTest(PciFlavorTest):
    def test_create_get_update_delete(self) -> None:
        created = editing.create(
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
        self.assertEqual(created, lookup.get(self.db, 'gpu'))
        self.assertEqual(created, lookup.get(self.db, created.uuid))
        self.assertEqual(['p1', 'p2'], created.access)
        self.assertEqual(1, created.generation)
        self.assertIsNotNone(created.created_at)
        changed = editing.update(
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
        editing.delete(self.db, 'big')
        self.assertEqual([], self.names())

    def test_unknown(self) -> None:
        for name in ('nope', '', "'; DROP TABLE pci_flavors; --", 'a\0b', '%'):
            for call in (
                lambda n=name: lookup.get(self.db, n),
                lambda n=name: editing.delete(self.db, n),
                lambda n=name: editing.update(self.db, n, {'name': 'a'}),
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

    def test_what_no_database_could_keep(self) -> None:
        self.create()
        wrong: list[dict[str, Any]] = [
            {'name': '\ud800'},
            {'name': 'a\0'},
            {'name': 1},
            {'name': None},
            {'description': '\ud800'},
            {'description': 'a\0'},
            {'description': 'x' * 65536},
            {'description': '\u20ac' * 30000},
            {'match': [{'e.group': '\ud800'}]},
            {'match': [{'e.group': 'a\0'}]},
            {'match': [{'e.\ud800': 'a'}]},
            {'match': [{'numa_node': 10**5000}]},
            {'match': [{f'e.k{n}': ['x' * 255] * 9} for n in range(64)]},
            {'match': {}},
            {'access': ['\ud800']},
            {'access': [None]},
            {'access': 'p'},
            {'state': '\ud800'},
            {'is_public': []},
            {'is_public': 'no'},
            {'is_public': 1},
            {'access': [1]},
            {'description': True},
            {'generation': 1},
            {'\ud800': 1},
        ]
        for changes in wrong:
            self.assertRaises(
                exception.InvalidPciFlavor,
                editing.update,
                self.db,
                'gpu',
                changes,
            )
            if 'name' not in changes:
                self.assertRaises(
                    exception.InvalidPciFlavor,
                    self.create,
                    'new',
                    **changes,
                )
        self.assertEqual(1, lookup.get(self.db, 'gpu').generation)
        self.assertEqual(['gpu'], self.names())

    def test_generations_that_cannot_be(self) -> None:
        self.create()
        for generation in (10**30, 2**31, 0, -1, True, '1', 1.0, '\ud800'):
            for call in (
                lambda g=generation: editing.update(
                    self.db, 'gpu', {'description': 'a'}, g
                ),
                lambda g=generation: editing.delete(self.db, 'gpu', g),
            ):
                error = self.assertRaises(exception.InvalidPciFlavor, call)
                self.assertEqual('generation', error.key)
        self.assertRaises(
            exception.PciFlavorChanged,
            editing.delete,
            self.db,
            'gpu',
            2**31 - 1,
        )

    def test_generation(self) -> None:
        self.create()
        editing.update(self.db, 'gpu', {'description': 'a'}, 1)
        self.assertRaises(
            exception.PciFlavorChanged,
            editing.update,
            self.db,
            'gpu',
            {'description': 'b'},
            1,
        )
        after = editing.update(self.db, 'gpu', {'description': 'b'}, 2)
        self.assertEqual(('b', 3), (after.description, after.generation))

    def test_repeated_update_changes_nothing(self) -> None:
        # As after a commit whose answer was lost.
        self.create()
        change = {'description': 'a', 'access': ['p']}
        first = editing.update(self.db, 'gpu', change, 1)
        self.assertEqual(first, editing.update(self.db, 'gpu', change, 1))

    def test_one_of_several_updates_wins(self) -> None:
        self.create()

        def update(text: str) -> bool:
            try:
                editing.update(self.db, 'gpu', {'description': text}, 1)
            except exception.PciFlavorChanged:
                return False
            return True

        with futures.ThreadPoolExecutor(4) as pool:
            winners = sum(pool.map(update, 'abcd'))
        self.assertEqual(1, winners)
        self.assertEqual(2, lookup.get(self.db, 'gpu').generation)


class NameTest(PciFlavorTest):
    def test_taken(self) -> None:
        self.create('gpu')
        self.create('nic')
        self.assertRaises(exception.PciFlavorExists, self.create, 'gpu')
        self.assertRaises(
            exception.PciFlavorExists,
            editing.update,
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
            self.assertEqual(name, lookup.get(self.db, name).name)
        self.assertRaises(
            exception.PciFlavorNotFound, lookup.get, self.db, 'GpU'
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
            self.assertEqual(created, lookup.get(self.db, name))
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
        editing.delete(self.db, 'gpu')
        self.assertNotEqual(first.uuid, self.create().uuid)


class AccessTest(PciFlavorTest):
    def test_what_is_no_project(self) -> None:
        for project_id in ('', ' p', 'p\n', 'p' * 256):
            for owner, access in ((None, [project_id]), (project_id, [])):
                self.assertRaises(
                    exception.InvalidPciFlavor,
                    editing.create,
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
        editing.create(self.db, 'own', 'owner', match=_MATCH, is_public=False)
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

    def test_shared_and_not(self) -> None:
        self.create(is_public=False)
        for project, shared, access, generation in (
            ('b', True, ['b'], 2),
            ('b', True, ['b'], 2),
            ('a', True, ['a', 'b'], 3),
            ('c', False, ['a', 'b'], 3),
            ('b', False, ['a'], 4),
            ('b', False, ['a'], 4),
        ):
            after = editing.share(self.db, 'gpu', project, shared)
            self.assertEqual(
                (access, generation), (after.access, after.generation)
            )
            self.assertEqual(after, lookup.get(self.db, after.uuid))
        self._get('gpu', 'a', True)
        self._get('gpu', 'b', False)

    def test_shared_as_it_was_seen(self) -> None:
        self.create(is_public=False)
        editing.share(self.db, 'gpu', 'p', True, 1)
        # Nothing to change.
        editing.share(self.db, 'gpu', 'p', True, 1)
        for project, shared in (('q', True), ('p', False)):
            self.assertRaises(
                exception.PciFlavorChanged,
                editing.share,
                self.db,
                'gpu',
                project,
                shared,
                1,
            )
        self.assertRaises(
            exception.InvalidPciFlavor,
            editing.share,
            self.db,
            'gpu',
            'q',
            True,
            0,
        )
        after = editing.share(self.db, 'gpu', 'p', False, 2)
        self.assertEqual(([], 3), (after.access, after.generation))

    def test_shared_with_what_is_no_project(self) -> None:
        self.create()
        for project_id in ('', ' p', 'p\n', 'p' * 256, 'a\0', '\ud800'):
            for shared in (True, False):
                self.assertRaises(
                    exception.InvalidPciFlavor,
                    editing.share,
                    self.db,
                    'gpu',
                    project_id,
                    shared,
                )
        self.assertRaises(
            exception.PciFlavorNotFound,
            editing.share,
            self.db,
            'nope',
            'p',
            True,
        )

    def test_deleted_with_its_access(self) -> None:
        self.create(is_public=False, access=['p'])
        editing.delete(self.db, 'gpu')
        self.create(is_public=False)
        self._get('gpu', 'p', False)

    def _get(self, name: str, project_id: str | None, works: bool) -> None:
        if works:
            lookup.get(self.db, name, project_id)
        else:
            self.assertRaises(
                exception.PciFlavorNotFound,
                lookup.get,
                self.db,
                name,
                project_id,
            )
