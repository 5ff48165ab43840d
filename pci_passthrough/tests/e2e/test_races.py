# SPDX-License-Identifier: Apache-2.0
"""Tests of concurrent requests for the last devices, two schedulers."""

from pci_passthrough.tests.e2e import base
from pci_passthrough.tests.e2e import control_plane

_GPUS, _LAST, _BOOTS = 8, 5, 20


class RaceTestCase(base.CloudTestCase):
    """Each device goes to one instance; the others get a reason."""

    def test_last_devices(self) -> None:
        gpu = self.create_pci_flavor('e.group=gpu')
        flavor = self.create_flavor(pci_flavor=gpu)
        first = self.create_many(flavor, _GPUS - _LAST)
        for server in first:
            self.wait_for_status(server, 'ACTIVE')
        servers = [
            self.wait_for_status(server, 'ACTIVE', 'ERROR')
            for server in self.create_many(flavor, _BOOTS)
        ]
        winners = [s for s in servers if s.status == 'ACTIVE']
        losers = [s for s in servers if s.status == 'ERROR']
        self.assertEqual(_LAST, len(winners))
        self.assertEqual(_BOOTS - _LAST, len(losers))
        self.assert_holdings(*first, *winners)
        for loser in losers:
            # The first text if the scheduler refuses, the second if the
            # devices of all selected hosts were claimed meanwhile.
            self.assertRegex(
                self.fault_of(loser),
                'No valid host was found|Exhausted all hosts available',
            )
        for scheduler in control_plane.SCHEDULERS:
            log = self.cloud.daemons[f'nova-{scheduler}'].log
            decided = [s for s in servers if s.id in log]
            self.assertNotEqual([], decided, f'{scheduler} did nothing')
        self.delete(*losers)
        self.assert_holdings(*first, *winners)
