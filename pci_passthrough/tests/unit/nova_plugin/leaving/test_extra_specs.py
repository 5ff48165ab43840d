# SPDX-License-Identifier: Apache-2.0
"""Tests of ``nova_plugin.leaving.extra_specs``."""

import hypothesis
from hypothesis import strategies
import testtools

from pci_passthrough.nova_plugin.leaving import extra_specs

_OURS = 'pci_passthrough:pci_flavor'
_ALIAS = 'pci_passthrough:alias'
_LEFT = 'pci_passthrough_left:'

#: (extra specs, the alias after leaving)
_TABLE: tuple[tuple[dict[str, str], str], ...] = (
    ({_OURS: 'gpu'}, 'gpu:1'),
    ({_OURS: 'gpu:2, nic:1'}, 'gpu:2,nic:1'),
    ({_OURS: 'gpu:2', _ALIAS: 'native:1'}, 'native:1,gpu:2'),
    ({_OURS: 'gpu:2', _ALIAS: 'needs-pci-passthrough:1'}, 'gpu:2'),
    ({'hardware_resource:nic': '2', 'hw:x': 'y'}, 'nic:2'),
    ({_OURS: 'gpu', 'hardware_resource:nic': '2'}, 'gpu:1,nic:2'),
)


def _alias_of(name: str) -> str:
    if name not in ('gpu', 'nic'):
        raise extra_specs.Obstacle(f'no {name}', 'create it')
    return name


class ExtraSpecsTestCase(testtools.TestCase):
    def test_there_and_back(self) -> None:
        for specs, alias in _TABLE:
            native = extra_specs.to_native(specs, _alias_of)
            kept = {f'{_LEFT}{k}': v for k, v in specs.items() if k != 'hw:x'}
            others = {k: v for k, v in specs.items() if k == 'hw:x'}
            self.assertEqual({**kept, **others, _ALIAS: alias}, native)
            self.assertEqual(native, extra_specs.to_native(native, _alias_of))
            self.assertTrue(extra_specs.is_concerned(native))
            self.assertEqual(specs, extra_specs.to_ours(native, _alias_of))
            self.assertEqual(specs, extra_specs.to_ours(specs, _alias_of))

    def test_native_ones_stay(self) -> None:
        for specs in ({}, {_ALIAS: 'native:1'}, {'hw:x': 'y'}):
            self.assertFalse(extra_specs.is_concerned(specs))
            self.assertEqual(specs, extra_specs.to_native(specs, _alias_of))
            self.assertEqual(specs, extra_specs.to_ours(specs, _alias_of))

    @hypothesis.given(
        strategies.sampled_from(_TABLE), strategies.integers(0, 8)
    )
    def test_half_done(self, row: tuple[dict[str, str], str], n: int) -> None:
        """Nova adds extra specs at once, and deletes them one by one."""
        specs, _ = row
        native = extra_specs.to_native(specs, _alias_of)
        going = sorted(
            specs.keys() - native.keys(), key=extra_specs.order_of_deletion
        )
        half = specs | native
        for key in going[:n]:
            del half[key]
        self.assertEqual(native, extra_specs.to_native(half, _alias_of))
        self.assertEqual(specs, extra_specs.to_ours(half, _alias_of))
        going = sorted(
            native.keys() - specs.keys(), key=extra_specs.order_of_deletion
        )
        half = native | specs
        for key in going[:n]:
            del half[key]
        self.assertEqual(specs, extra_specs.to_ours(half, _alias_of))

    def test_obstacles(self) -> None:
        for specs, problem in (
            ({_OURS: 'gpu|nic:1'}, 'alternatives gpu|nic'),
            ({_OURS: 'x'}, 'no x'),
            ({_OURS: 'gpu:'}, 'malformed'),
            ({_OURS: 'gpu', _ALIAS: 'a:1, gpu:1'}, 'the alias gpu beside'),
            ({_OURS: 'gpu', _ALIAS: ','.join(['a:1'] * 64)}, 'longer than'),
        ):
            error = self.assertRaises(
                extra_specs.Obstacle, extra_specs.to_native, specs, _alias_of
            )
            self.assertIn(problem, error.problem)

    def test_changed_since(self) -> None:
        native = extra_specs.to_native({_OURS: 'gpu'}, _alias_of)
        native[_ALIAS] = 'gpu:2'
        self.assertEqual(native, extra_specs.to_native(native, _alias_of))
        error = self.assertRaises(
            extra_specs.Obstacle, extra_specs.to_ours, native, _alias_of
        )
        self.assertIn('changed to gpu:2', error.problem)
