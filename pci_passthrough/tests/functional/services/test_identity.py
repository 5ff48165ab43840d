# SPDX-License-Identifier: Apache-2.0
"""Held devices when their host comes back with other addresses.

The agent, the conductor and the database are real; libvirt's test driver has
the devices of ``cases``.
"""

import pathlib
from typing import Any

import fixtures
import testtools

from pci_passthrough import claims
from pci_passthrough import conf as conf_module
from pci_passthrough import objects
from pci_passthrough import store
from pci_passthrough.services import agent
from pci_passthrough.services import conductor
from pci_passthrough.store import hosts
from pci_passthrough.store.claims import claiming
from pci_passthrough.store.claims import transitions
from pci_passthrough.store.devices import lookup
from pci_passthrough.store.pci_flavors import editing
from pci_passthrough.tests import sqlite
from pci_passthrough.tests.cases import files
from pci_passthrough.tests.functional.services import programs
from pci_passthrough.tests.functional.store import base as store_base

_GPU = '0000:41:00.0'
_NVME = '0000:42:00.0'

_BY_CLASS = ('{"class": "display"}', '{"class": "storage"}')


class IdentityTest(testtools.TestCase):
    """Instance A has the GPU of ``c10_before``, B has its NVMe disk."""

    def setUp(self) -> None:
        super().setUp()
        self.logger = self.useFixture(fixtures.FakeLogger(level=20))
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.db = store.Writer(sqlite.create(self.folder / 'db'))
        self.addCleanup(self.db.close)
        service = conductor.ConductorService(self.conf('c10_before'))
        service.start()
        self.addCleanup(service.stop)

    def conf(self, case: str, *entries: str, **options: str) -> Any:
        path = self.folder / f'{case}.conf'
        lines = [
            '[DEFAULT]',
            'transport_url = fake:/',
            'host = h',
            '[database]',
            f'connection = sqlite:///{self.folder}/db',
            '[agent]',
            f'connection_uri = {files.uri(case)}',
            *(f'pci_information = {entry}' for entry in entries),
            *(f'{name} = {value}' for name, value in options.items()),
        ]
        path.write_text('\n'.join(lines))
        return conf_module.load([f'--config-file={path}'], 'test')

    def report(self, case: str, *entries: str, **options: str) -> None:
        """Start the agent of a host that has just booted; report once."""
        agent.AgentService(
            self.conf(case, *(entries or _BY_CLASS), **options)
        ).report_once()

    def claim(self, name: str, term: dict[str, Any]) -> str:
        editing.create(self.db, name, None, match=[term])
        owner = store_base.new_id()
        claiming.claim(
            self.db,
            store_base.POLICY,
            claims.ClaimRequest(
                'h', owner, [store_base.request(name)], 'test'
            ),
        )
        transitions.allocate(self.db, 'h', owner, 'test')
        return owner

    def devices(self) -> dict[str, objects.PciDevice]:
        return {d.address: d for d in lookup.get_all(self.db, 'h')}

    def test_shifted_buses(self) -> None:
        self.report('c10_before')
        a = self.claim('gpu', {'class': 'display'})
        b = self.claim('disk', {'class': 'storage'})
        self.assertEqual({_GPU, _NVME}, self.devices().keys())
        self.report('c10_after')
        devices = self.devices()
        for address, owner, vendor in ((_GPU, a, '10de'), (_NVME, b, '144d')):
            device = devices[address]
            self.assertEqual('conflict', device.state)
            self.assertEqual(
                (owner, vendor), (device.instance_uuid, device.vendor_id)
            )
        self.assertIn('1b21:2142', str(devices[_GPU].conflict))
        # B's disk, with its data, is at the next address.
        self.assertEqual('disabled', devices['0000:43:00.0'].state)
        self.assertIn('is in conflict', self.logger.output)
        # The cloud is rebooted with the card taken out again.
        self.report('c10_before')
        states = {d.state for d in self.devices().values()}
        self.assertEqual({'allocated'}, states)

    def test_agent_restarts_while_a_guest_has_the_device(self) -> None:
        entries = ('{"driver": "nvidia"}',)
        root = self.folder / 'root'
        files.write_root('c10_before', root)
        driver = root / 'sys/bus/pci/devices' / _GPU / 'driver'

        def bind(name: str) -> None:
            driver.unlink()
            driver.symlink_to(f'../../../bus/pci/drivers/{name}')
            self.report('c10_before', *entries, host_root=str(root))

        bind('nvidia')
        owner = self.claim('gpu', {'class': 'display'})
        bind('vfio-pci')
        device = self.devices()[_GPU]
        self.assertEqual('allocated', device.state)
        self.assertEqual(
            (owner, 'offered', 'nvidia'),
            (device.instance_uuid, device.presence, device.driver),
        )
        # A device in nobody's hands is what it is.
        transitions.free(self.db, owner, 'test')
        bind('vfio-pci')
        self.assertNotIn(_GPU, self.devices())

    def test_first_scan_of_a_service_waits_for_no_conductor(self) -> None:
        root = self.folder / 'root'
        files.write_root('c10_before', root)
        driver = root / 'sys/bus/pci/devices' / _GPU / 'driver'
        driver.unlink()
        driver.symlink_to('../../../bus/pci/drivers/nvidia')
        entries = ('{"driver": "nvidia"}',)
        self.report('c10_before', *entries, host_root=str(root))
        self.claim('gpu', {'class': 'display'})
        driver.unlink()
        driver.symlink_to('../../../bus/pci/drivers/vfio-pci')
        service = agent.AgentService(
            self.conf('c10_before', *entries, host_root=str(root))
        )
        service.start()
        self.addCleanup(service.stop)
        programs.wait_for(lambda: self.generation() == 2, 'the report')
        self.assertEqual('offered', self.devices()[_GPU].presence)

    def generation(self) -> int:
        [host] = hosts.get_all(self.db, store_base.TRACKED)
        return host.generation
