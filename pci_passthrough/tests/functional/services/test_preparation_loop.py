# SPDX-License-Identifier: Apache-2.0
"""The agent prepares devices of a simulated host, in real processes."""

import json
import pathlib
import sys
from typing import Any

import fixtures
import testtools

from pci_passthrough import claims
from pci_passthrough import conf as conf_module
from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough import rpc
from pci_passthrough import store
from pci_passthrough.demo import inventory
from pci_passthrough.demo import testdriver
from pci_passthrough.services import agent
from pci_passthrough.services import conductor
from pci_passthrough.store.claims import claiming
from pci_passthrough.store.claims import transitions
from pci_passthrough.store.devices import lookup
from pci_passthrough.store.pci_flavors import editing
from pci_passthrough.tests import sqlite
from pci_passthrough.tests.functional.services import programs
from pci_passthrough.tests.functional.store import base as store_base

_HOST = 'compute-1'
_GPU = '{"match": {"class": "display"}, "handler": "reset"}'

#: A running guest that has a device, for libvirt's test driver.
_DOMAIN = """
<domain type='test'><name>g0</name><memory>8192</memory>
<os><type>hvm</type></os><devices>
<hostdev mode='subsystem' type='pci' managed='yes'><source>
<address domain='0x{0}' bus='0x{1}' slot='0x{2}' function='0x{3}'/>
</source></hostdev></devices></domain></node>
"""


class HostTest(testtools.TestCase):
    """A test with a simulated host, its agent and a conductor."""

    def setUp(self) -> None:
        super().setUp()
        self.logger = self.useFixture(fixtures.FakeLogger(level=20))
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.db = store.Writer(sqlite.create(self.folder / 'db'))
        self.addCleanup(self.db.close)
        shape = inventory.HostShape(
            _HOST, nics=1, vfs=1, gpus=2, consumer_gpus=0
        )
        self.model = inventory.build_host(shape)
        self.host = testdriver.write_host(self.model, self.folder)
        for name, match in (
            ('gpu', {'class': 'display'}),
            ('disk', {'class': 'storage'}),
        ):
            self.create_flavor(name, match)

    def create_flavor(self, name: str, term: dict[str, Any]) -> None:
        editing.create(self.db, name, None, match=[term])

    def load(self, *entries: str, **options: Any) -> Any:
        values = {
            'connection_uri': self.host.uri,
            'host_root': self.host.host_root,
            'report_interval': 1,
            'preparation_interval': 1,
            'max_backoff': 1,
            **options,
        }
        config = self.folder / 'agent.conf'
        config.write_text(
            '\n'.join(
                [
                    '[DEFAULT]',
                    f'transport_url = fake:/\nhost = {_HOST}',
                    f'[database]\nconnection = sqlite:///{self.folder}/db',
                    '[agent]',
                    *(f'{key} = {value}' for key, value in values.items()),
                    *(f'pci_information = {entry}' for entry in entries),
                ]
            )
        )
        return conf_module.load([f'--config-file={config}'], 'test')

    def start(self, *entries: str, **options: Any) -> agent.AgentService:
        conf = self.load(*entries, **options)
        service = conductor.ConductorService(conf)
        service.start()
        self.addCleanup(service.stop)
        running = agent.AgentService(conf)
        running.start()
        self.addCleanup(running.stop)
        programs.wait_for(lambda: bool(self.devices()), 'the report')
        return running

    def devices(self) -> list[objects.PciDevice]:
        return lookup.get_all(self.db)

    def states(self) -> set[str]:
        return {device.state for device in self.devices()}

    def wait_until_all_are(self, state: str) -> None:
        programs.wait_for(lambda: self.states() == {state}, state)

    def hold(self, pci_flavor: str) -> str:
        """Claim a device for an instance; return its address."""
        self.instance = store_base.new_id()
        [held] = claiming.claim(
            self.db,
            store_base.POLICY,
            claims.ClaimRequest(
                _HOST,
                self.instance,
                [store_base.request(pci_flavor)],
                'test',
            ),
        )
        transitions.allocate(self.db, _HOST, self.instance, 'test')
        return str(held.address)

    def give_back(self) -> None:
        client = rpc.ConductorClient(rpc.get_transport(self.load(_GPU)), 60)
        self.addCleanup(client.close)
        client.free(_HOST, self.instance, 'test')


class PreparationLoopTest(HostTest):
    def reset_of(self, address: str) -> str:
        place = self.model.path(address)
        return (self.host.host_root / 'sys' / place / 'reset').read_text()

    def test_reset_between_two_owners(self) -> None:
        self.start(_GPU)
        self.wait_until_all_are('available')
        held = self.hold('gpu')
        # A reset is no part of setup.
        self.assertEqual('', self.reset_of(held))
        self.give_back()
        self.wait_until_all_are('available')
        self.assertEqual('1', self.reset_of(held))
        for device in self.devices():
            if device.address != held:
                self.assertEqual('', self.reset_of(device.address))
        self.assertIn(f'Prepared {held}', self.logger.output)

    def test_default_of_a_class(self) -> None:
        gpu = '{"match": {"class": "display"}}'
        self.start(gpu)
        self.wait_until_all_are('available')
        self.assertEqual(
            {('reset',)}, {tuple(device.handlers) for device in self.devices()}
        )
        held = self.hold('gpu')
        self.give_back()
        self.wait_until_all_are('available')
        self.assertEqual('1', self.reset_of(held))

    def test_no_default_where_it_is_not_wanted(self) -> None:
        self.start(
            '{"match": {"class": "display"}, "handler": "none"}',
            '{"match": {"class": "network"}}',
        )
        self.assertEqual({'available'}, self.states())
        held = self.hold('gpu')
        self.give_back()
        self.assertEqual({'available'}, self.states())
        self.assertEqual('', self.reset_of(held))

    def test_hanging_program_stops_nobody_else(self) -> None:
        wait = {
            'name': 'wait',
            'program': [
                sys.executable,
                '-c',
                'print("waits", flush=True); import time; time.sleep(3600)',
            ],
            'verbs': ['setup'],
            'timeout': 1,
        }
        self.start(
            _GPU.replace('"reset"', '["reset", "command:wait"]'),
            '{"match": {"class": "storage"}, "handler": "reset", '
            '"on_failure": "retry"}',
            handler_command=json.dumps(wait),
        )
        programs.wait_for(
            lambda: self.states() == {'available', 'quarantined'}, 'both'
        )
        for device in self.devices():
            is_gpu = str(device.pci_class).startswith('03')
            self.assertEqual(
                'quarantined' if is_gpu else 'available', device.state
            )
            if is_gpu:
                self.assertIn('waits', str(device.quarantine_reason))
                self.assertIn('was killed', str(device.quarantine_reason))

    def test_device_of_a_running_guest_is_not_touched(self) -> None:
        gpu = next(
            address
            for address, device in sorted(self.model.devices.items())
            if device.model.class_code >> 16 == 3
        )
        file = pathlib.Path(self.host.uri.removeprefix('test://'))
        parts = gpu.replace('.', ':').split(':')
        file.write_text(
            file.read_text().replace('</node>', _DOMAIN.format(*parts))
        )
        ready = {'name': 'ok', 'program': ['/bin/true'], 'verbs': ['setup']}
        self.start(
            _GPU.replace('reset', 'command:ok'),
            handler_command=json.dumps(ready),
        )
        programs.wait_for(
            lambda: self.states() == {'available', 'cleaning'}, 'the other'
        )
        programs.wait_for(
            lambda: f'Not touching {gpu}' in self.logger.output, 'a look'
        )
        for device in self.devices():
            self.assertEqual(
                'cleaning' if device.address == gpu else 'available',
                device.state,
            )
        self.assertIn('the running domain g0 has', self.logger.output)

    def test_card_whose_virtual_function_is_open_is_not_touched(self) -> None:
        card = next(d for d in self.model.devices.values() if d.vfs)
        group = self.model.devices[card.vfs[0]].iommu_group
        descriptors = self.host.host_root / 'proc/4242/fd'
        descriptors.mkdir(parents=True)
        (descriptors / '9').symlink_to(f'/dev/vfio/{group}')
        (descriptors.parent / 'comm').write_text('qemu-kvm\n')
        ready = {'name': 'ok', 'program': ['/bin/true'], 'verbs': ['setup']}
        self.start(
            f'{{"address": "{card.address}", "handler": "command:ok"}}',
            handler_command=json.dumps(ready),
        )
        programs.wait_for(
            lambda: f'Not touching {card.address}' in self.logger.output,
            'a look',
        )
        self.assertIn(
            f'process 4242 (qemu-kvm) has /dev/vfio/{group} open',
            self.logger.output,
        )
        (descriptors / '9').unlink()
        self.wait_until_all_are('available')

    def test_second_agent_of_a_host_waits(self) -> None:
        self.start(_GPU)
        self.wait_until_all_are('available')
        second = agent.AgentService(self.load(_GPU))
        second.start()
        self.addCleanup(second.stop)
        programs.wait_for(
            lambda: 'another agent of this host' in self.logger.output,
            'the second one',
        )

    def test_unknown_handler_is_refused_before_the_start(self) -> None:
        for entry, reason in (
            (_GPU.replace('reset', 'rest'), 'known are: command, driver'),
            (_GPU.replace('reset', 'driver'), 'needs the name of a driver'),
            (_GPU.replace('reset', 'command:x'), 'there are: none'),
        ):
            error = self.assertRaises(
                exception.InvalidPciInformation,
                agent.AgentService,
                self.load(entry),
            )
            self.assertIn(reason, str(error))

    def test_command_that_may_take_longer_than_handlers(self) -> None:
        wait = {'name': 'wait', 'program': ['/bin/true'], 'timeout': 60.5}
        error = self.assertRaises(
            exception.InvalidConfiguration,
            agent.AgentService,
            self.load(
                _GPU, handler_command=json.dumps(wait), handler_timeout=60
            ),
        )
        self.assertIn('wait may take 60.5 seconds', str(error))
