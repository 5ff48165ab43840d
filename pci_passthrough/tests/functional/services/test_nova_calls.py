# SPDX-License-Identifier: Apache-2.0
"""The RPC calls of Nova's processes, through a real broker."""

import json

from pci_passthrough import claims
from pci_passthrough import exception
from pci_passthrough.store import scheduling_refusals
from pci_passthrough.tests.functional.services import base
from pci_passthrough.tests.functional.services import programs

_INSTANCE = '5b0b5f2c-6a3e-4e5a-9d0e-0d6f3c1f7a10'


class NovaCallsTest(base.ServicesTestCase):
    def test_from_the_scheduler_to_the_tracker(self) -> None:
        host = self.write_host('compute-1', nics=1, gpus=2)
        self.start_conductor(tracker_timeout=3600)
        self.start_agent(host)
        self.wait_for_report(host.name)
        client = self.client()
        requests = [base.request(2, 'gpu')]
        [resolved] = client.resolve(requests)
        self.assertEqual(['gpu'], [a.name for a in resolved.alternatives])
        names = [host.name, 'compute-2']

        offer = client.offer(requests, names)
        self.assertEqual(
            {'compute-1': 'tracker_down', 'compute-2': 'host_unknown'},
            offer.absent,
        )
        client.note_refusals(
            _INSTANCE, 'no host', offer.refused(names), 'gpu:2'
        )
        mine = scheduling_refusals.Filter(instance_uuid=_INSTANCE)
        programs.wait_for(
            lambda: bool(scheduling_refusals.page(self.db, 7, mine)),
            'the refusals that were noted',
        )

        ack = client.register_tracker(host.name, '1.1')
        self.assertEqual((1, []), (ack.generation, ack.held))
        offer = client.offer(requests, names, instance_uuid=_INSTANCE)
        self.assertIsNotNone(offer.decide(host.name))
        self.assertIsNone(offer.decide('compute-2'))
        claimed = client.claim(
            claims.ClaimRequest(host.name, _INSTANCE, requests, 'nova')
        )
        ack = client.register_tracker(host.name, '1.1')
        self.assertEqual(
            [d.address for d in claimed], [d.address for d in ack.held]
        )
        offer = client.offer(requests, [host.name])
        self.assertEqual('too_few', offer.refusal(host.name))

    def test_adoption(self) -> None:
        host = self.write_host('compute-1', nics=1, gpus=2)
        self.start_conductor()
        self.start_agent(host)
        self.wait_for_report(host.name)
        client = self.client()
        devices = client.host_devices(host.name)
        self.assertEqual(len(self.devices(host.name)), len(devices))
        self.assertEqual(
            [json.loads(base.PCI_INFORMATION[0])] * len(devices),
            [json.loads(str(d.offered_by)) for d in devices],
        )
        gpu = next(d for d in devices if d.dev_type == 'type-PCI')
        for _ in range(2):
            [adopted] = client.adopt(
                host.name, _INSTANCE, 'r', [gpu.address], 'nova-compute/x'
            )
            self.assertEqual('allocated', adopted.state)
        error = self.assertRaises(
            exception.DeviceStateConflict,
            client.adopt,
            host.name,
            'a0000000-6a3e-4e5a-9d0e-0d6f3c1f7a10',
            'r',
            [gpu.address],
            'nova-compute/x',
        )
        self.assertIn(_INSTANCE, error.text)
