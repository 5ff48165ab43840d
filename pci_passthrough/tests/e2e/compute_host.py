# SPDX-License-Identifier: Apache-2.0
"""A compute host: a simulated machine with the usual services."""

import pathlib
import shutil
import sys
from typing import Any
from typing import Final
from xml.etree import ElementTree

import fixtures

from pci_passthrough.demo import inventory
from pci_passthrough.tests.e2e import embedded_switch
from pci_passthrough.tests.e2e import emulator
from pci_passthrough.tests.e2e import processes
from pci_passthrough.tests.e2e import settings
from pci_passthrough.tests.lab import simulated_host

_HERE: Final = pathlib.Path(__file__).parent
_QEMU: Final = '/usr/bin/qemu-system-x86_64'
_MACVTAP_SOURCE: Final = "devices/interface[@type='direct']/source"
_SEEN_BY_AGENT: Final = '/host'
_PRELOADED: Final = (
    'hotplug.c', 'memlock.c', 'tap_nodes.c', 'virtual_functions.c',
)  # fmt: skip


def build_tools(folder: pathlib.Path) -> None:
    """Compile the programs that replace VFIO and SR-IOV on all hosts."""
    processes.run(
        ['gcc', '-shared', '-fPIC', '-O1', '-Wall', '-o',
         folder / 'preloaded.so', *(_HERE / name for name in _PRELOADED)],
        folder / 'tools.log',
    )  # fmt: skip
    qemu = folder / 'qemu'
    script = f'exec {sys.executable} -I {_HERE}/emulator.py "$@"'
    qemu.write_text(f'#!/bin/sh\n{script}\n')
    qemu.chmod(0o755)
    (folder / 'bin').mkdir()
    shutil.copy(_HERE / 'ip.sh', folder / 'bin/ip')


class ComputeHost(fixtures.Fixture):
    """libvirtd, nova-compute and two agents on a simulated machine.

    :ivar machine: the simulated machine.
    :ivar nova_compute: nova-compute.
    :ivar nic_agent: Neutron's SR-IOV NIC agent.
    :ivar agent: pci-passthrough-agent.
    """

    machine: simulated_host.SimulatedHost
    nova_compute: processes.Daemon
    nic_agent: processes.Daemon
    agent: processes.Daemon

    def __init__(
        self,
        site: settings.Site,
        shape: inventory.HostShape,
        nova_files: list[pathlib.Path],
    ) -> None:
        super().__init__()
        self.name = shape.name
        self._site = site
        self._shape = shape
        self._nova_files = nova_files

    def _setUp(self) -> None:
        site, name = self._site, self.name
        machine = simulated_host.SimulatedHost(self._shape, [site.folder])
        self.machine = self.useFixture(machine)
        self._install_emulator()
        (site.folder / f'nova/{name}').mkdir()
        etc = site.folder / f'etc/{name}'
        config = settings.write(
            etc / 'nova-compute.conf',
            settings.nova_compute(site, name, machine.uri),
        )
        files = [config, *self._nova_files]
        path = processes.environment()['PATH']
        self.nova_compute = self._daemon_inside(
            f'nova-compute-{name}',
            'env',
            f'PATH={site.folder}/bin:{path}',
            processes.BIN / 'nova-compute',
            *(f'--config-file={file}' for file in files),
        )
        config = settings.write(
            etc / 'nic-agent.conf', settings.neutron_nic_agent(site, name)
        )
        self.nic_agent = self._daemon_inside(
            f'nic-agent-{name}',
            sys.executable,
            '-I',
            _HERE / 'nic_agent.py',
            f'--config-file={config}',
        )
        config = settings.write(
            etc / 'agent.conf',
            settings.pci_passthrough_agent(
                site, name, machine.uri, _SEEN_BY_AGENT
            ),
        )
        self._write_gpu_file()
        self.agent = self._daemon_inside(
            f'agent-{name}',
            processes.BIN / 'pci-passthrough-agent',
            f'--config-file={config}',
            f'--config-file={self.gpu_file}',
        )

    @property
    def gpu_file(self) -> pathlib.Path:
        """The agent's file with the PCI information of the GPUs."""
        return self._site.folder / f'etc/{self.name}/gpus.conf'

    def offer_gpus(self, text: str | None = None) -> None:
        """Restart the agent with other PCI information of the GPUs.

        :param text: None means that of the start.
        """
        self._write_gpu_file(text)
        begin = len(self.agent.log)
        self.agent.restart()
        self.agent.wait_for_log('Sent a report of all devices', begin)

    def _write_gpu_file(self, text: str | None = None) -> None:
        if text is None:
            settings.write(self.gpu_file, settings.pci_information_of_gpus())
        else:
            self.gpu_file.write_text(text)

    @property
    def daemons(self) -> tuple[processes.Daemon, ...]:
        """The services of the host, without libvirtd."""
        return self.nova_compute, self.nic_agent, self.agent

    def _daemon_inside(
        self, name: str, *command: str | pathlib.Path
    ) -> processes.Daemon:
        # In the machine's mount namespace for /sys and /proc, but in the
        # network namespace of the tests.
        return self._daemon(
            name,
            'nsenter',
            f'--target={self.machine.host_root.parent.name}',
            '--mount',
            '--uts',
            '--pid',
            '--root',
            '--wd',
            *command,
        )

    def _daemon(
        self, name: str, *command: str | pathlib.Path
    ) -> processes.Daemon:
        daemon = processes.Daemon(name, command, self._site.folder)
        return self.useFixture(daemon)

    def _install_emulator(self) -> None:
        machine, folder = self.machine, self._site.folder
        machine.stop_libvirtd()
        machine.write('/etc/ld.so.preload', f'{folder}/preloaded.so\n')
        machine.write(emulator.REAL, '')
        machine.run('mount', '--bind', _QEMU, emulator.REAL)
        machine.run('mount', '--bind', f'{folder}/qemu', _QEMU)
        machine.run('mkdir', str(embedded_switch.FOLDER))
        # The agent's place: it must find the files of the host, and the
        # network of the host's process 1, from another network.
        machine.run('mkdir', _SEEN_BY_AGENT)
        machine.run('mount', '--rbind', '/', _SEEN_BY_AGENT)
        # For the pseudo terminal of each guest's console.
        machine.run('mkdir', '/dev/pts')
        machine.run(
            'mount',
            '-t',
            'devpts',
            '-o',
            'newinstance,ptmxmode=0666',
            'devpts',
            '/dev/pts',
        )
        machine.run('ln', '-s', 'pts/ptmx', '/dev/ptmx')
        self._prepare_macvtap()
        machine.start_libvirtd()

    def _prepare_macvtap(self) -> None:
        machine = self.machine
        # libvirt opens it, although the emulator does not use it.
        machine.write('/dev/vhost-net', '')
        # A read-only sysfs of the host's network namespace.
        aside = str(embedded_switch.SYSFS)
        machine.run('mkdir', aside)
        machine.run('mount', '-t', 'sysfs', '-o', 'ro', 'sysfs', aside)
        for device in machine.host.devices.values():
            if device.interface and device.physical_function:
                machine.add_link(device.interface.name)

    def domains(self) -> dict[str, Any]:
        """Return the XML of libvirt's domains by instance."""
        connection = self.machine.connect()
        try:
            return {
                domain.UUIDString(): ElementTree.fromstring(  # noqa: S314
                    domain.XMLDesc()
                )
                for domain in connection.listAllDomains()
            }
        finally:
            connection.close()

    def kill_guests(self) -> None:
        """Kill all guests, as in a power failure."""
        connection = self.machine.connect()
        try:
            for domain in connection.listAllDomains():
                if domain.isActive():
                    domain.destroy()
        finally:
            connection.close()

    def break_devices(self, *addresses: str) -> None:
        """Let no guest start with some devices, and with all others again."""
        self.machine.write(emulator.BROKEN, '\n'.join(addresses))

    def nics(self, instance: str) -> dict[str, Any]:
        """Return the network interfaces of a domain, by MAC address."""
        interfaces = {}
        for xml in self.domains()[instance].findall('devices/interface'):
            mac = xml.find('mac')
            assert mac is not None
            interfaces[mac.attrib['address']] = xml
        return interfaces

    def virtual_functions(self) -> dict[str, embedded_switch.Setting]:
        """Return the settings of the host's VFs by address."""
        folder = self.machine.host_root / str(embedded_switch.FOLDER)[1:]
        devices = self.machine.host.devices
        settings = {}
        for (interface, index), setting in embedded_switch.read(
            folder
        ).items():
            [address] = [
                device.vfs[index]
                for device in devices.values()
                if device.interface and device.interface.name == interface
            ]
            settings[address] = setting
        return settings

    def supports_macvtap(self) -> bool:
        """Return whether the kernel supports macvtap interfaces."""
        words = ('ip', 'link', 'add', 'link', 'lo', 'type', 'macvtap')
        try:
            self.machine.run(*words)
        except simulated_host.LabError as error:
            # On lo a supported type fails, too, with another error.
            return 'Unknown device type' not in str(error)
        return True

    def release_device(self, instance: str) -> None:
        """Let a guest release the device that is being detached.

        An operating system would do this; without one a reset is needed.
        """
        connection = self.machine.connect()
        try:
            connection.lookupByUUIDString(instance).reset()
        finally:
            connection.close()

    def attached(self) -> dict[str, set[str]]:
        """Return the addresses of the devices of each domain."""
        # A macvtap interface belongs to the virtual function below.
        below = {
            device.interface.name: address
            for address, device in self.machine.host.devices.items()
            if device.interface
        }
        return {
            instance: {
                *map(self._address, xml.findall('devices/*/source/address')),
                *(
                    below[source.attrib['dev']]
                    for source in xml.findall(_MACVTAP_SOURCE)
                ),
            }
            for instance, xml in self.domains().items()
        }

    def _address(self, element: ElementTree.Element) -> str:
        """Return the address of a domain's device, by its source."""
        if 'uuid' in element.attrib:
            return element.attrib['uuid']
        if 'device' in element.attrib:
            bus, number = (int(element.attrib[n]) for n in ('bus', 'device'))
            [name] = [
                device.name
                for device in self.machine.host.usb_devices.values()
                if (device.bus, device.number) == (bus, number)
            ]
            return name
        return _pci_address(element)


def _pci_address(element: ElementTree.Element) -> str:
    numbers = [
        int(element.attrib[key], 16)
        for key in ('domain', 'bus', 'slot', 'function')
    ]
    return inventory.join_address(
        numbers[0], numbers[1], numbers[2] * 8 + numbers[3]
    )
