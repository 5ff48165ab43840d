# SPDX-License-Identifier: Apache-2.0
"""Tests of ``nova_plugin.guard``."""

import testtools

from pci_passthrough.nova_plugin import guard

_MARK = 'needs-pci-passthrough:1'


class GuardTestCase(testtools.TestCase):
    def test_there_and_back(self) -> None:
        ours = {'pci_passthrough:pci_flavor': 'gpu'}
        for native, marked in (
            ({}, _MARK),
            ({guard.ALIAS: 'a:1'}, f'a:1,{_MARK}'),
            ({guard.ALIAS: 'a:1,b:2'}, f'a:1,b:2,{_MARK}'),
        ):
            specs = ours | native
            self.assertFalse(guard.is_marked(specs))
            self.assertEqual(specs, guard.unmarked(specs))
            with_mark = guard.marked(specs)
            self.assertEqual({**ours, guard.ALIAS: marked}, with_mark)
            self.assertTrue(guard.is_marked(with_mark))
            self.assertEqual(with_mark, guard.marked(with_mark))
            self.assertEqual(specs, guard.unmarked(with_mark))
