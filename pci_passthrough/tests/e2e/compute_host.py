# SPDX-License-Identifier: Apache-2.0
"""One compute host: a simulated machine with the programs of a real one."""

import pathlib
import sys
from typing import Any
from typing import Final
from xml.etree import ElementTree

import fixtures

from pci_passthrough.demo import inventory
from pci_passthrough.tests.e2e import emulator
from pci_passthrough.tests.e2e import processes
from pci_passthrough.tests.e2e import settings
from pci_passthrough.tests.lab import simulated_host

_HERE: Final = pathlib.Path(__file__).parent
_QEMU: Final = '/usr/bin/qemu-system-x86_64'


def build_tools(folder: pathlib.Path) -> None:
    """Make what all hosts use in place of VFIO."""
    processes.run(
        ['gcc', '-shared', '-fPIC', '-O1', '-o', folder / 'memlock.so',
         _HERE / 'memlock.c'],
        folder / 'tools.log',
    )  # fmt: skip
    qemu = folder / 'qemu'
    script = f'exec {sys.executable} -I {_HERE}/emulator.py "$@"'
    qemu.write_text(f'#!/bin/sh\n{script}\n')
    qemu.chmod(0o755)


class ComputeHost(fixtures.Fixture):
    """libvirtd, nova-compute and our agent, on hardware of their own.

    :ivar machine: the simulated machine.
    :ivar nova_compute: Nova's service.
    :ivar agent: this project's.
    """

    machine: simulated_host.SimulatedHost
    nova_compute: processes.Daemon
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
        self.nova_compute = self._daemon(
            f'nova-compute-{name}',
            # Inside: it reads /sys and /proc. The network stays outside.
            'nsenter',
            f'--target={machine.host_root.parent.name}',
            '--mount',
            '--uts',
            '--pid',
            '--root',
            '--wd',
            processes.BIN / 'nova-compute',
            *(f'--config-file={file}' for file in files),
        )
        config = settings.write(
            etc / 'agent.conf',
            settings.pci_passthrough_agent(
                site, name, machine.uri, machine.host_root
            ),
        )
        self.agent = self._daemon(
            f'agent-{name}',
            processes.BIN / 'pci-passthrough-agent',
            f'--config-file={config}',
        )

    def _daemon(
        self, name: str, *command: str | pathlib.Path
    ) -> processes.Daemon:
        daemon = processes.Daemon(name, command, self._site.folder)
        return self.useFixture(daemon)

    def _install_emulator(self) -> None:
        machine, folder = self.machine, self._site.folder
        machine.stop_libvirtd()
        machine.write('/etc/ld.so.preload', f'{folder}/memlock.so\n')
        machine.write(emulator.REAL, '')
        machine.run('mount', '--bind', _QEMU, emulator.REAL)
        machine.run('mount', '--bind', f'{folder}/qemu', _QEMU)
        # Each guest's console is a terminal.
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
        machine.start_libvirtd()

    def domains(self) -> dict[str, Any]:
        """Return the XML of libvirt's domains, by instance."""
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
        """End all guests, as a power failure does."""
        connection = self.machine.connect()
        try:
            for domain in connection.listAllDomains():
                if domain.isActive():
                    domain.destroy()
        finally:
            connection.close()

    def attached(self) -> dict[str, set[str]]:
        """Return the addresses of the devices that each domain has."""
        return {
            instance: {
                _address(source)
                for source in xml.findall('devices/hostdev/source/address')
            }
            for instance, xml in self.domains().items()
        }


def _address(element: ElementTree.Element) -> str:
    numbers = [
        int(element.attrib[key], 16)
        for key in ('domain', 'bus', 'slot', 'function')
    ]
    return inventory.join_address(
        numbers[0], numbers[1], numbers[2] * 8 + numbers[3]
    )
