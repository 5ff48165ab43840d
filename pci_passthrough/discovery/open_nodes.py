# SPDX-License-Identifier: Apache-2.0
"""Finds processes that have a VFIO device of the host open.

Opening the node to see whether it is busy would keep a guest that starts at
that moment from it: a group of VFIO can be opened once only.
"""

import re

from pci_passthrough.discovery import chroot_files

_PROCESS = re.compile(r'\d+', re.ASCII)
_DEVICE = re.compile(r'vfio\d+', re.ASCII)


def opener_of(root: str, address: str, iommu_group: int | None) -> str | None:
    """Return a process that has a function open by VFIO, None if none has.

    The nodes are ``/dev/vfio/<group>`` and, with IOMMUFD,
    ``/dev/vfio/devices/vfio<n>``. Without CAP_SYS_PTRACE only processes of
    the agent's user can be looked into: then None may be wrong.

    :param root: the host's root directory.
    :returns: the number and the command of the process, for people.
    """
    files = chroot_files.ChrootFiles(root)
    nodes = {
        f'/dev/vfio/devices/{name}'
        for name in files.names(f'sys/bus/pci/devices/{address}/vfio-dev')
        if _DEVICE.fullmatch(name)
    }
    if iommu_group is not None:
        nodes.add(f'/dev/vfio/{iommu_group}')
    for process in files.names('proc'):
        if _PROCESS.fullmatch(process) and _has_open(files, process, nodes):
            name = files.read_if_exists(f'proc/{process}/comm') or ''
            return f'{process} ({name.strip()})'
    return None


def _has_open(
    files: chroot_files.ChrootFiles, process: str, nodes: set[str]
) -> bool:
    folder = f'proc/{process}/fd'
    try:
        for name in files.names(folder):
            try:
                if files.link(f'{folder}/{name}') in nodes:
                    return True
            except FileNotFoundError:
                continue
    except OSError:
        # Another user's process, or one that ends.
        return False
    return False
