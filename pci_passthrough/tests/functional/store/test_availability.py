# SPDX-License-Identifier: Apache-2.0
"""Availability of PCI flavors, compared with what can be claimed."""

import testscenarios

from pci_passthrough import exception
from pci_passthrough import store
from pci_passthrough.store.pci_flavors import lookup
from pci_passthrough.store.views import availability
from pci_passthrough.tests.functional.store import base

load_tests = testscenarios.load_tests_apply_scenarios


class AvailabilityTest(base.ClaimTest):
    def setUp(self) -> None:
        super().setUp()
        self.report('g', [base.gpu(1), base.gpu(2)])
        self.report('h', [base.gpu(1), *base.family(2, 3), *base.family(3, 3)])
        self.report('i', [base.pf(2), base.pf(3)])

    def get(
        self,
        name: str,
        count: int = 1,
        limits: store.Limits | None = None,
    ) -> dict[str, tuple[int, int, int]]:
        """Return free, total and requests by host."""
        [available] = availability.get(
            self.db,
            limits or base.LIMITS,
            [lookup.get(self.db, name)],
            count,
        )
        self.assertEqual(count, available.count)
        self.assertEqual(
            (
                sum(h.free for h in available.hosts),
                sum(h.total for h in available.hosts),
                sum(h.requests for h in available.hosts),
            ),
            (available.free, available.total, available.requests),
        )
        return {h.host: (h.free, h.total, h.requests) for h in available.hosts}

    def test_numbers(self) -> None:
        for name, count, expected in (
            ('gpu', 1, {'g': (2, 2, 2), 'h': (1, 1, 1)}),
            ('gpu', 2, {'g': (2, 2, 1), 'h': (1, 1, 0)}),
            ('big', 1, {}),
            ('pf', 1, {'h': (2, 2, 2), 'i': (2, 2, 2)}),
            ('vf', 4, {'h': (6, 6, 1)}),
            # Each physical function, or three virtual functions.
            ('nic', 1, {'h': (6, 8, 6), 'i': (2, 2, 2)}),
            ('nic', 2, {'h': (6, 8, 3), 'i': (2, 2, 1)}),
        ):
            self.assertEqual(expected, self.get(name, count))

    def test_what_is_held_is_left_out(self) -> None:
        self.claim('h', base.request('vf'))
        self.assertEqual((1, 2, 1), self.get('pf')['h'])
        self.assertEqual((5, 6, 5), self.get('vf')['h'])
        self.assertEqual((5, 8, 5), self.get('nic')['h'])
        self.claim('g', base.request('gpu', count=2))
        self.assertEqual((0, 2, 0), self.get('gpu')['g'])

    def test_so_many_requests_are_served(self) -> None:
        for name, count in (('nic', 2), ('pf', 1), ('vf', 2)):
            expected = sum(n for _, _, n in self.get(name, count).values())
            served = 0
            owner = base.new_id()
            for host in ('h', 'i'):
                try:
                    while True:
                        self.claim(
                            host,
                            base.request(name, count=count),
                            instance_uuid=owner,
                        )
                        served += 1
                except exception.ClaimRefused:
                    continue
            self.assertEqual(expected, served)
            self.owner = owner
            self.free()

    def test_several_at_once_as_one_by_one(self) -> None:
        self.claim('h', base.request('pf'))
        flavors = lookup.get_all(self.db)
        limits = base.LIMITS
        together = availability.get(self.db, limits, flavors)
        alone = [
            availability.get(self.db, limits, [flavor])[0]
            for flavor in flavors
        ]
        self.assertEqual(alone, together)
        self.assertEqual([], availability.get(self.db, limits, []))

    def test_hosts_that_are_down(self) -> None:
        for limits in (store.Limits(-60), base.TRACKED):
            self.assertEqual({}, self.get('gpu', limits=limits))
