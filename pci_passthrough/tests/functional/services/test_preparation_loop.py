# SPDX-License-Identifier: Apache-2.0
"""The agent prepares devices of a simulated host, in real processes."""

import json
import pathlib
import sys

from pci_passthrough import exception
from pci_passthrough.services import agent
from pci_passthrough.tests.functional.services import agent_host
from pci_passthrough.tests.functional.services import programs

_HOST = agent_host.HOST
_GPU = '{"match": {"class": "display"}, "handler": "reset"}'

#: A running guest that has a device, for libvirt's test driver.
_DOMAIN = """
<domain type='test'><name>g0</name><memory>8192</memory>
<os><type>hvm</type></os><devices>
<hostdev mode='subsystem' type='pci' managed='yes'><source>
<address domain='0x{0}' bus='0x{1}' slot='0x{2}' function='0x{3}'/>
</source></hostdev></devices></domain></node>
"""


class PreparationLoopTest(agent_host.AgentHostTest):
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
