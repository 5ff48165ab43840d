# SPDX-License-Identifier: Apache-2.0
"""Changes of a host's hardware, and how they reach the database."""

from typing import Any

from pci_passthrough.tests.functional.services import base
from pci_passthrough.tests.functional.services import programs

_HOST = 'compute-1'


class HardwareTest(base.ServicesTestCase):
    """A host with a libvirtd of its own, an agent and a conductor.

    The agent looks at the devices when libvirt tells of a change, and by
    itself only in the tests that say so.
    """

    def setUp(self) -> None:
        super().setUp()
        self.host = self.simulate_host(_HOST, nics=1, vfs=4, gpus=2)
        self.conductor = self.start_conductor()

    def start(self, **options: Any) -> programs.Program:
        options = {'scan_interval': 3600, **options}
        agent = self.start_agent(self.host, **options)
        self.wait_for_report(_HOST)
        return agent

    def address(self, pci_class: str, dev_type: str) -> str:
        return min(
            address
            for address, device in self.devices(_HOST).items()
            if str(device.pci_class).startswith(pci_class)
            and device.dev_type == dev_type
        )

    def test_changes_are_known(self) -> None:
        self.start()
        gpu = self.address('03', 'type-PCI')
        nic = self.address('02', 'type-PF')
        self.host.unplug(gpu)
        programs.wait_for(lambda: gpu not in self.devices(_HOST), 'unplugged')
        self.host.plug(gpu)
        programs.wait_for(lambda: gpu in self.devices(_HOST), 'plugged')
        for number in (0, 6):
            self.host.set_numvfs(nic, number)
            programs.wait_for(
                lambda number=number: (  # type: ignore[misc]
                    sum(
                        device.parent_addr == nic
                        for device in self.devices(_HOST).values()
                    )
                    == number
                ),
                f'{number} VFs',
            )
        # Interfaces of new VFs may need another look.
        programs.wait_for(
            lambda: self.node(_HOST).digest == self.look(self.host).digest,
            'all of it',
        )
        self.check_consistent(self.host)

    def test_held_device_is_unplugged_and_comes_back(self) -> None:
        self.start()
        # Not a VF: its PF would have to bring it back.
        instance = self.claim_in_database(_HOST, 'gpu')
        [held] = [
            address
            for address, device in self.devices(_HOST).items()
            if device.instance_uuid == instance
        ]
        self.host.unplug(held)
        programs.wait_for(
            lambda: self.states(_HOST)[held] == 'missing', 'missing'
        )
        self.assertEqual(instance, self.devices(_HOST)[held].instance_uuid)
        self.check_consistent(self.host)
        self.host.plug(held)
        programs.wait_for(
            lambda: self.states(_HOST)[held] == 'allocated', 'back'
        )
        self.assertEqual(instance, self.devices(_HOST)[held].instance_uuid)

    def test_device_that_the_host_begins_to_use_is_refused(self) -> None:
        # Nothing announces an address: the next look finds it.
        agent = self.start(scan_interval=2)
        nic = self.address('02', 'type-PF')
        interface = self.devices(_HOST)[nic].devname
        assert interface is not None
        self.host.add_address(interface, '192.0.2.1/24')
        programs.wait_for(
            lambda: self.states(_HOST)[nic] == 'refused', 'refused'
        )
        self.assertIn('192.0.2.1', self.devices(_HOST)[nic].refusal or '')
        self.assertIn(f'{nic} matches', agent.log)
        self.check_consistent(self.host)

    def test_look_repairs_what_was_missed(self) -> None:
        agent = self.start(scan_interval=3)
        gpu = self.address('03', 'type-PCI')
        # Whatever is announced meanwhile reaches nobody.
        agent.freeze()
        self.host.stop_libvirtd()
        self.host.unplug(gpu)
        self.host.start_libvirtd()
        agent.freeze(False)
        programs.wait_for(
            lambda: gpu not in self.devices(_HOST), 'the next look'
        )
        self.check_consistent(self.host)

    def test_libvirtd_is_away(self) -> None:
        agent = self.start()
        before = self.states(_HOST)
        gpu = self.address('03', 'type-PCI')
        self.host.stop_libvirtd()
        agent.wait_for_log('Keeping the last result')
        self.host.unplug(gpu)
        for _ in range(2):
            self.wait_for_sign_of_life(_HOST)
        self.assertEqual(before, self.states(_HOST))
        self.assertEqual(1, self.generation(_HOST))
        self.host.start_libvirtd()
        programs.wait_for(
            lambda: gpu not in self.devices(_HOST), 'catching up'
        )
        agent.wait_for_log('libvirt answers again')
        self.host.plug(gpu)
        programs.wait_for(lambda: gpu in self.devices(_HOST), 'events again')
        self.check_consistent(self.host)

    def test_libvirtd_hangs(self) -> None:
        agent = self.start(scan_interval=1)
        before = self.states(_HOST)
        pid = str(self.host.libvirtd_pid)
        self.host.run('kill', '-STOP', pid)
        agent.wait_for_log('has not answered for')
        self.wait_for_sign_of_life(_HOST)
        self.assertEqual(before, self.states(_HOST))
        agent.terminate()
        self.assertIn('still waiting for libvirt', agent.log)
        self.host.run('kill', '-CONT', pid)
        agent.start()
        self.wait_for_report(_HOST, 2)
        self.check_consistent(self.host)
