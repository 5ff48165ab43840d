# SPDX-License-Identifier: Apache-2.0
"""Lists of hosts."""

import testscenarios

from pci_passthrough.store import hosts
from pci_passthrough.store.devices import operators
from pci_passthrough.tests.functional.store import base

load_tests = testscenarios.load_tests_apply_scenarios


class WithDevicesTest(base.StoreTest):
    def test_only_what_is_offered_counts(self) -> None:
        self.flavors()
        self.report('none', [])
        self.report('free', [base.gpu(1), base.gpu(2)])
        self.report('held', [base.gpu(1)])
        self.claim('held', base.request('gpu'))
        self.report('disabled', [base.gpu(1)])
        operators.disable(self.db, 'disabled/0000:01:00.0', 'broken', 'test')
        self.report('gone', [base.gpu(1)])
        self.report('gone', [])
        self.report('missing', [base.gpu(1)])
        self.claim('missing', base.request('gpu'))
        self.report('missing', [])
        self.assertEqual(
            ['disabled', 'free', 'held'], hosts.with_devices(self.db)
        )

    def test_none(self) -> None:
        self.assertEqual([], hosts.with_devices(self.db))
