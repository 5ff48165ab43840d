# SPDX-License-Identifier: Apache-2.0
"""Tests of the index: same results as evaluating every condition."""

from typing import Any

import hypothesis
from hypothesis import strategies
import testtools

from pci_passthrough import matching
from pci_passthrough import objects
from pci_passthrough.specs import pci_flavor

ids = strategies.sampled_from(['8086', '10de', '15b3', '0001'])
maybe_ids = strategies.none() | ids

KEYS = strategies.builds(
    objects.PoolKey,
    vendor_id=maybe_ids,
    product_id=maybe_ids,
    subsystem_vendor_id=maybe_ids,
    subsystem_id=maybe_ids,
    pci_class=strategies.sampled_from(['020000', '030000', '030200']),
    dev_type=strategies.sampled_from([None, 'type-PCI', 'type-PF', 'type-VF']),
    driver=strategies.sampled_from([None, 'ice', 'vfio-pci']),
    numa_node=strategies.sampled_from([None, 0, 1, 10]),
    vgpu_type=strategies.sampled_from([None, '55', '558']),
    resource_type=strategies.sampled_from(['pci', 'mdev', 'usb']),
    extra_info=strategies.dictionaries(
        strategies.sampled_from(['group', 'san']),
        strategies.sampled_from(['a', 'b', '10']),
    ).map(lambda tags: tuple(sorted(tags.items()))),
)

id_values = strategies.sampled_from(
    ['8086', '10*', '<or> 8086 <or> 10de', 's!= 8086', ['10de', '0001']]
)
tag_values = strategies.sampled_from(['a', '>= 3', 's!= a', ['a', 'b']])

TERMS = strategies.fixed_dictionaries(
    {},
    optional={
        'vendor_id': id_values,
        'product_id': id_values,
        'subsystem_vendor_id': id_values,
        'subsystem_id': id_values,
        'class': strategies.sampled_from(['network', 'display', '0302']),
        'dev_type': strategies.sampled_from(['type-PF', 's!= type-PF']),
        'driver': strategies.sampled_from(['ice', '<in> vfio']),
        'numa_node': strategies.sampled_from(['0', '< 5', 's!= 1']),
        'vgpu_type': strategies.sampled_from(['558', '55*', 's!= 558']),
        'resource_type': strategies.sampled_from(
            ['pci', 'usb', ['mdev', 'usb'], 's!= pci']
        ),
        'e.group': tag_values,
        'e.san': tag_values,
        'e.none': tag_values,
    },
).filter(bool)

EXPRESSIONS = strategies.lists(TERMS, min_size=1, max_size=3)


def matching_ids(
    keys: dict[int, objects.PoolKey], expression: pci_flavor.MatchExpression
) -> set[int]:
    """Return the ids of matching keys by evaluating each condition."""
    return {
        key_id
        for key_id, key in keys.items()
        if any(
            all(
                condition.accepts(condition.value_of(key))
                for condition in term
            )
            for term in expression.terms
        )
    }


class PoolIndexTest(testtools.TestCase):
    @hypothesis.given(
        strategies.lists(strategies.lists(KEYS, max_size=6), max_size=3),
        strategies.lists(EXPRESSIONS, min_size=1, max_size=4),
    )
    def test_same_as_without_index(
        self,
        batches: list[list[objects.PoolKey]],
        matches: list[list[dict[str, Any]]],
    ) -> None:
        expressions = [pci_flavor.MatchExpression.parse(m) for m in matches]
        index = matching.PoolIndex()
        known: dict[int, objects.PoolKey] = {}
        for batch in [[], *batches]:
            # Ids start at 1000 and descend.
            new = {1000 - 7 * (len(known) + i): k for i, k in enumerate(batch)}
            known |= new
            index.add(new)
            # The second result comes from the index's cache.
            for expression in expressions * 2:
                self.assertEqual(
                    matching_ids(known, expression),
                    index.matching(expression),
                )

    def test_container(self) -> None:
        index = matching.PoolIndex()
        self.assertEqual(0, len(index))
        key = key_of(1)
        index.add({7: key, 3: key})
        self.assertEqual(2, len(index))
        self.assertIs(key, index[3])
        self.assertIn(7, index)
        self.assertNotIn(1, index)
        self.assertRaises(KeyError, index.__getitem__, 1)

    def test_known_keys_stay(self) -> None:
        index = matching.PoolIndex()
        index.add({1: key_of(1)})
        index.add({1: key_of(2), 2: key_of(2)})
        for product, expected in ((1, {1}), (2, {2})):
            expression = pci_flavor.MatchExpression.parse(
                [{'product_id': f'{product:04x}'}]
            )
            self.assertEqual(expected, index.matching(expression))


def key_of(number: int) -> objects.PoolKey:
    """Return a pool key that is different for each number."""
    return objects.PoolKey(
        '8086',
        f'{number % 50:04x}',
        None,
        None,
        '020000',
        'type-VF',
        'ice',
        number % 2,
        (('group', f'g{number % 20}'), ('rate', str(number))),
    )
