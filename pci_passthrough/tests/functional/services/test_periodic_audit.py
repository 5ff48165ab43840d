# SPDX-License-Identifier: Apache-2.0
"""Conductors that audit, with a stand-in for Nova's REST API."""

from typing import Any

from pci_passthrough import claims
from pci_passthrough.store import ledger
from pci_passthrough.store.claims import transitions
from pci_passthrough.store.devices import lookup
from pci_passthrough.tests.functional import nova_stand_in
from pci_passthrough.tests.functional import servers
from pci_passthrough.tests.functional.services import base
from pci_passthrough.tests.functional.services import programs
from pci_passthrough.tests.functional.services import test_metrics

_HOST = 'compute-1'


class PeriodicAuditTest(base.ServicesTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.nova = self.useFixture(nova_stand_in.Nova())
        self.nova.answers.host = _HOST
        self.conductor_config = self.nova.config.splitlines()
        self.port = self.useFixture(servers.Port()).number

    def start(self, **options: Any) -> programs.Program:
        """Start a conductor, and an agent with free devices."""
        conductor = self.start_conductor(
            audit_interval=1, metrics_port=self.port, **options
        )
        self.start_agent(self.write_host(_HOST, nics=1, vfs=8))
        self.wait_for_report(_HOST)
        return conductor

    def claim(self, instance: str) -> str:
        """Claim a device; return its UUID."""
        [device] = self.client().claim(
            claims.ClaimRequest(_HOST, instance, [base.request(1)], 'nova')
        )
        transitions.allocate(self.db, _HOST, instance, 'nova')
        return str(device.uuid)

    def counted(self, kind: str) -> float | None:
        """Return what the metrics say; None before the first audit."""
        return test_metrics.scrape(self.port).get(
            ('pci_passthrough_audit_differences', (('kind', kind),))
        )

    def wait_for_count(self, kind: str, count: float) -> None:
        programs.wait_for(
            lambda: self.counted(kind) == count, f'{count} of {kind}'
        )

    def test_found(self) -> None:
        conductor = self.start()
        self.claim(nova_stand_in.KNOWN)
        self.wait_for_count('unknown instance', 0)
        device = self.claim(nova_stand_in.GONE)
        self.wait_for_count('unknown instance', 1)
        self.assertEqual(0, self.counted('too few devices'))
        self.assertIn(nova_stand_in.GONE, conductor.log)
        self.nova.answers.is_broken = True
        programs.wait_for(
            lambda: 'The audit could not be finished' in conductor.log,
            'what the log says without Nova',
        )
        self.assertEqual(
            nova_stand_in.GONE, lookup.get(self.db, device).instance_uuid
        )
        self.nova.answers.is_broken = False
        transitions.free(self.db, nova_stand_in.GONE, 'test')
        self.wait_for_count('unknown instance', 0)

    def test_mended(self) -> None:
        self.start(audit_fix='true')
        kept = self.claim(nova_stand_in.KNOWN)
        device = self.claim(nova_stand_in.GONE)
        programs.wait_for(
            lambda: lookup.get(self.db, device).instance_uuid is None,
            'the end of the claim',
        )
        event = ledger.history(self.db, device)[-1]
        self.assertEqual(('free', 'audit'), (event.action, event.actor))
        self.assertEqual(
            nova_stand_in.KNOWN, lookup.get(self.db, kept).instance_uuid
        )
