# SPDX-License-Identifier: Apache-2.0
"""PCI flavors that are made from groups of hosts."""

from concurrent import futures

import testscenarios

from pci_passthrough.store.pci_flavors import editing
from pci_passthrough.store.pci_flavors import groups
from pci_passthrough.store.pci_flavors import lookup
from pci_passthrough.tests.functional.store import base

load_tests = testscenarios.load_tests_apply_scenarios

_ENTRY = '{"match": {"vendor_id": "10de"}, "extra_info": {...}}'


class GroupsTest(base.StoreTest):
    def test_story(self) -> None:
        self.report(
            'h1',
            [
                base.gpu(1, extra_info={'group': 'big'}),
                base.gpu(2, extra_info={'group': 'big'}, product_id='20b5'),
                base.gpu(3, extra_info={'group': 'a/b'}, offered_by=_ENTRY),
            ],
        )
        first = groups.make(self.db, frozenset())
        self.assertEqual(first.flavors, tuple(lookup.get_all(self.db)))
        [flavor] = first.flavors
        self.assertEqual(
            ('big', [{'e.group': 'big'}], True, None, 'group', 'active'),
            (
                flavor.name,
                flavor.match,
                flavor.is_public,
                flavor.project_id,
                flavor.origin,
                flavor.state,
            ),
        )
        [invalid] = first.clashes
        self.assertIn(
            f'Host h1 offers a device with the tag {"group=a/b"}', invalid
        )
        self.assertIn(f'(entry {_ENTRY})', invalid)
        self.assertIn("'name': has one of , | : /", invalid)
        # Nothing is new, so nothing is made again.
        editing.delete(self.db, 'big')
        again = groups.make(self.db, first.seen)
        self.assertEqual(groups.Result(first.seen), again)
        # What is new in the group brings it back.
        self.report(
            'h2', [base.gpu(1, extra_info={'group': 'big'}, numa_node=1)]
        )
        [back] = groups.make(self.db, first.seen).flavors
        self.assertEqual('big', back.name)

    def test_clashes_name_both_sides(self) -> None:
        editing.create(self.db, 'mine', 'p1', match=[{'vendor_id': '8086'}])
        editing.create(self.db, 'same', 'p1', match=[{'vendor_id': '10de'}])
        self.report(
            'h1',
            [
                base.gpu(1, extra_info={'group': 'mine'}, offered_by=_ENTRY),
                base.gpu(2, extra_info={'group': 'same'}),
                base.gpu(3, extra_info={'group': 'two'}),
                base.gpu(4, extra_info={'name': 'two'}, offered_by=_ENTRY),
            ],
        )
        result = groups.make(self.db, frozenset())
        self.assertEqual((), result.flavors)
        mine, two = result.clashes
        self.assertIn(
            f'group=mine (entry {_ENTRY}), and the PCI flavor mine '
            '(owner: project p1) does not match it',
            mine,
        )
        self.assertIn('group=two (entry unknown), Host h1', two)
        self.assertIn(f'name=two (entry {_ENTRY}): the tags mean', two)
        self.assertEqual(
            [mine], groups.of_flavor(self.db, lookup.get(self.db, 'mine'))
        )
        self.assertEqual(
            [], groups.of_flavor(self.db, lookup.get(self.db, 'same'))
        )

    def test_two_conductors_at_once(self) -> None:
        names = [f'g{number}' for number in range(8)]
        self.report(
            'h1',
            [
                base.gpu(bus, extra_info={'group': name})
                for bus, name in enumerate(names, 1)
            ],
        )
        conductors = [self.open() for _ in range(4)]
        with futures.ThreadPoolExecutor(len(conductors)) as pool:
            results = list(
                pool.map(lambda db: groups.make(db, frozenset()), conductors)
            )
        made = [f.name for result in results for f in result.flavors]
        self.assertEqual(names, sorted(made))
        self.assertEqual([], [c for r in results for c in r.clashes])
        self.assertEqual(names, [f.name for f in lookup.get_all(self.db)])
