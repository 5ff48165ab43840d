# SPDX-License-Identifier: Apache-2.0
"""A host's sysfs, procfs and udev files in a temporary directory."""

from collections.abc import Mapping
from collections.abc import Sequence
import json
import os
import pathlib

import fixtures

from pci_passthrough.discovery import host_facts

NIC, VF, DISK, OTHER_DISK, GPU = (
    '0000:01:00.0',
    '0000:01:10.0',
    '0000:02:00.0',
    '0000:03:00.0',
    '0000:04:00.0',
)

SWAPS_HEAD = 'Filename\tType\tSize\tUsed\tPriority\n'


class HostTree(fixtures.Fixture):
    """The root directory of a host with a NIC, its VF, two disks and a GPU."""

    def _setUp(self) -> None:
        self.root = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.mounts: list[str] = []
        self.write('proc/1/mountinfo', '22 1 0:21 / /proc rw - proc proc rw')
        self.write('proc/swaps', SWAPS_HEAD)
        self.network()
        for address, code in (
            (NIC, '0x020000'),
            (VF, '0x020000'),
            (DISK, '0x010802'),
            (OTHER_DISK, '0x010802'),
            (GPU, '0x030000'),
        ):
            self.write(f'{self.device(address)}/class', code)
            self.link(f'sys/bus/pci/devices/{address}', self.device(address))
        self.link(f'{self.device(VF)}/physfn', self.device(NIC))
        # It must never be read; a directory makes reading it fail.
        (self.root / self.device(NIC) / 'sriov_numvfs').mkdir()

    @staticmethod
    def device(address: str) -> str:
        return f'sys/devices/pci0000:00/0000:00:{address[5:7]}.0/{address}'

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f'{text}\n')

    def link(self, path: str, target: str) -> None:
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        (self.root / target).mkdir(parents=True, exist_ok=True)
        place.symlink_to(
            os.path.relpath(self.root / target, place.parent),
        )

    def block(self, path: str, number: str, signature: str | None = '') -> str:
        """Add a block device.

        :param signature: ``ID_FS_TYPE``; None if udev has not probed it.
        """
        name = path.rpartition('/')[2]
        self.write(f'{path}/dev', number)
        self.write(f'{path}/size', '2048')
        self.link(f'sys/class/block/{name}', path)
        if signature is not None:
            self.write(
                f'run/udev/data/b{number}',
                f'S:disk/x\nE:ID_FS_TYPE={signature}' if signature else 'I:1',
            )
        return path

    def disk(self, name: str, address: str, signature: str | None = '') -> str:
        path = f'{self.device(address)}/nvme/{name[:5]}/{name}'
        return self.block(path, f'259:{address[6:7]}0', signature)

    def partition(self, disk: str, signature: str | None = '') -> str:
        name = disk.rpartition('/')[2]
        number = (self.root / disk / 'dev').read_text().strip() + '1'
        path = self.block(f'{disk}/{name}p1', number, signature)
        self.write(f'{path}/partition', '1')
        return path

    def stack(self, upper: str, lower: str) -> None:
        """Stack a block device upon another."""
        self.link(f'{upper}/slaves/{os.path.basename(lower)}', lower)
        self.link(f'{lower}/holders/{os.path.basename(upper)}', upper)

    def mount(self, number: str, kind: str, source: str, at: str) -> None:
        self.mounts.append(
            f'{30 + len(self.mounts)} 1 {number} / {at} rw shared:1 - '
            f'{kind} {source} rw'
        )
        self.write('proc/1/mountinfo', '\n'.join(self.mounts))

    def interface(self, name: str, path: str, kind: str = '') -> str:
        path = f'{path}/net/{name}'
        self.write(f'{path}/uevent', f'DEVTYPE={kind}\nINTERFACE={name}')
        self.link(f'sys/class/net/{name}', path)
        return path

    def network(
        self,
        addresses: Mapping[str, str] | None = None,
        routes: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """Set the addresses by interface, and the routes' interfaces."""
        content = {
            'addresses': [
                {'interface': name, 'address': address}
                for name, address in (addresses or {}).items()
            ],
            'routes': [
                {'destination': destination, 'interfaces': list(names)}
                for destination, names in (routes or {}).items()
            ],
        }
        self.write(host_facts.RECORDED_NETWORK, json.dumps(content))
