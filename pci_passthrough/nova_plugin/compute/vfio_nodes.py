# SPDX-License-Identifier: Apache-2.0
"""Finds devices that VFIO cannot open, before a guest gets them.

Known before the start are only these reasons:

* a process has the node of the device's IOMMU group open: QEMU could not open
  it, too. The process may be the guest itself, which a hard reboot ends
  first. Processes of other users can be seen with CAP_SYS_PTRACE only;
* the device is bound to vfio-pci, and its group has no node. With any other
  driver that is normal: libvirt binds a device with ``managed='yes'``, as
  Nova's are, when the guest starts, and then there is a node.

Whatever else keeps VFIO from a device is seen by libvirt.
"""

from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses
import os

from pci_passthrough import chroot_files
from pci_passthrough.discovery import open_nodes

_FUNCTIONS = 'sys/bus/pci/devices'
#: Each node that the kernel has made by ``/dev/vfio/<group>``.
_GROUPS = 'sys/class/vfio'


@dataclasses.dataclass(frozen=True)
class Function:
    """A PCI function as the host shows it.

    :ivar group: the number of its IOMMU group; None if it has none.
    :ivar lacks_node: it is bound to vfio-pci, and the group has no node.
    :ivar nodes: the paths of its nodes, if VFIO has it.
    """

    driver: str | None
    group: str | None
    lacks_node: bool
    nodes: Collection[str]


def reasons(
    root: str, instance_uuid: str, addresses: Iterable[str]
) -> list[str]:
    """Return why VFIO cannot open devices of an instance.

    :param root: the host's root directory.
    :param addresses: of the devices that the guest gets by VFIO.
    :returns: a text for each device that cannot be opened.
    """
    files = chroot_files.ChrootFiles(root)
    functions = {address: _read(files, address) for address in addresses}
    nodes = {node for read in functions.values() for node in read.nodes}
    try:
        opened = list(open_nodes.openers_of(files, nodes))
    except OSError:
        # A process has ended meanwhile, or /proc cannot be read.
        opened = []
    return unopenable(instance_uuid, functions, opened)


def unopenable(
    instance_uuid: str,
    functions: Mapping[str, Function],
    opened: Collection[open_nodes.OpenNode],
) -> list[str]:
    """Return why VFIO cannot open functions. Pure.

    :param functions: by address.
    :param opened: open nodes of any of them. libvirt starts each guest with
        the UUID of its instance as an argument.
    """
    own = {
        opener.node for opener in opened if instance_uuid in opener.arguments
    }
    texts = []
    for address, function in sorted(functions.items()):
        busy = [
            f'process {opener.process} has {opener.node} open'
            for opener in opened
            if opener.node in function.nodes and opener.node not in own
        ]
        if function.lacks_node:
            texts.append(
                f'VFIO cannot open {address}: it is bound to '
                f'{function.driver}, and /dev/vfio/{function.group} does not '
                'exist'
            )
        elif busy:
            texts.append(f'VFIO cannot open {address}: {", ".join(busy)}')
    return texts


def _read(files: chroot_files.ChrootFiles, address: str) -> Function:
    driver = _target(files, address, 'driver')
    group = _target(files, address, 'iommu_group')
    lacks_node = (
        open_nodes.lacks_node(files, driver, group)
        # Else another /dev than the host's, as in a container.
        and not files.exists(f'{_GROUPS}/{group}')
        # Else the device was just given back to the host's driver.
        and _target(files, address, 'driver') == driver
    )
    try:
        nodes = open_nodes.nodes_of(files, address, group)
    except OSError:
        nodes = set()
    return Function(driver, group, lacks_node, nodes)


def _target(
    files: chroot_files.ChrootFiles, address: str, name: str
) -> str | None:
    """Return the name that a link of a function leads to, if it has it."""
    try:
        return os.path.basename(files.link(f'{_FUNCTIONS}/{address}/{name}'))
    except OSError:
        return None
