# SPDX-License-Identifier: Apache-2.0
"""Finds the VFIO nodes of a function, and processes that have them open.

The nodes are ``/dev/vfio/<group>`` and, with IOMMUFD,
``/dev/vfio/devices/vfio<n>``. Opening a node to see whether it is busy would
keep a guest that starts at that moment from it: a group of VFIO can be opened
once only.
"""

from collections.abc import Collection
from collections.abc import Iterator
import dataclasses
import re

from pci_passthrough import chroot_files

_NODES = 'dev/vfio'
_DRIVER = 'vfio-pci'
#: The end of the names of drivers that are made from it.
_DRIVER_VARIANT = '_vfio_pci'
_PROCESS = re.compile(r'\d+', re.ASCII)
_DEVICE = re.compile(r'vfio\d+', re.ASCII)
_VDPA = re.compile(r'vdpa\d+', re.ASCII)
_VHOST = re.compile(r'vhost-vdpa-\d+', re.ASCII)


@dataclasses.dataclass(frozen=True)
class OpenNode:
    """A node that a process has open.

    :ivar node: for example ``/dev/vfio/7``.
    :ivar process: the number and the command of the process, for people.
    :ivar arguments: the command line of the process.
    """

    node: str
    process: str
    arguments: Collection[str] = ()


def lacks_node(
    files: chroot_files.ChrootFiles, driver: str | None, group: str | None
) -> bool:
    """Whether a function that VFIO has cannot be opened by its group.

    Where groups have no nodes at all (only IOMMUFD, no rights, or another
    ``/dev``) this is not known, and False.
    """
    if driver is None or group is None:
        return False
    if driver != _DRIVER and not driver.endswith(_DRIVER_VARIANT):
        return False
    try:
        nodes = files.names(_NODES)
    except OSError:
        return False
    return any(map(str.isdigit, nodes)) and group not in nodes


def nodes_of(
    files: chroot_files.ChrootFiles, address: str, group: int | str | None
) -> set[str]:
    """Return the nodes by which a function can be opened, if it has them.

    :param group: the number of its IOMMU group, if any.
    """
    nodes = {
        f'/{_NODES}/devices/{name}'
        for name in files.names(f'sys/bus/pci/devices/{address}/vfio-dev')
        if _DEVICE.fullmatch(name)
    }
    if group is not None:
        nodes.add(f'/{_NODES}/{group}')
    return nodes


def vhost_nodes_of(files: chroot_files.ChrootFiles, address: str) -> set[str]:
    """Return the nodes by which guests have the vdpa devices of a function."""
    folder = f'sys/bus/pci/devices/{address}'
    return {
        f'/dev/{name}'
        for device in files.names(folder)
        if _VDPA.fullmatch(device)
        for name in files.names(f'{folder}/{device}')
        if _VHOST.fullmatch(name)
    }


def openers_of(
    files: chroot_files.ChrootFiles, nodes: Collection[str]
) -> Iterator[OpenNode]:
    """Yield the processes that have some nodes open.

    Without CAP_SYS_PTRACE only processes of the own user can be looked into:
    then others are missing.
    """
    if not nodes:
        return
    for process in files.names('proc'):
        if not _PROCESS.fullmatch(process):
            continue
        for node in sorted(_open_in(files, process) & set(nodes)):
            folder = f'proc/{process}'
            name = files.read_if_exists(f'{folder}/comm') or ''
            arguments = files.read_if_exists(f'{folder}/cmdline') or ''
            yield OpenNode(
                node,
                f'{process} ({name.strip()})',
                arguments.strip().split('\0'),
            )


def _open_in(files: chroot_files.ChrootFiles, process: str) -> set[str]:
    """Return the files that a process has open, as far as that can be seen."""
    folder = f'proc/{process}/fd'
    opened = set()
    try:
        for name in files.names(folder):
            try:
                opened.add(files.link(f'{folder}/{name}'))
            except FileNotFoundError:
                continue
    except OSError:
        # Another user's process, or one that ends.
        pass
    return opened
