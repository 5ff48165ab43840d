# SPDX-License-Identifier: Apache-2.0
"""The URI of a case, and the host's files that libvirt does not return.

libvirt's test driver ignores ``<driver>``. A simulated ``/sys`` made from the
same file has the drivers.
"""

from collections.abc import Mapping
import json
import pathlib
from xml.etree import ElementTree

from pci_passthrough.demo import hosttree
from pci_passthrough.discovery import host_facts

_FOLDER = pathlib.Path(__file__).parent


def uri(name: str) -> str:
    """Return the libvirt URI of a case.

    :param name: file name without ``.xml``.
    """
    return f'test://{_FOLDER / name}.xml'


def write_root(
    name: str, root: pathlib.Path, more: Mapping[str, str] | None = None
) -> None:
    """Write ``sys`` and ``proc`` of a case; the host uses no device.

    :param name: file name without ``.xml``.
    :param more: further files by path below ``/sys``, for example
        ``bus/pci/devices/0000:41:00.4/nvidia/current_vgpu_type``.
    """
    tree = hosttree.Tree()
    node = ElementTree.parse(_FOLDER / f'{name}.xml')  # noqa: S314
    for device in node.iterfind('device'):
        path = device.findtext('path', '').removeprefix('/sys/')
        capability = device.find('capability')
        assert capability is not None
        kind = capability.get('type')
        if kind == 'pci':
            _add_function(tree, path, device, capability)
        elif kind == 'net':
            interface = capability.findtext('interface')
            tree.file(f'{path}/uevent', f'INTERFACE={interface}')
            tree.link(f'class/net/{interface}', path)
        elif kind == 'mdev':
            tree.folder(path)
    tree.write(root / 'sys')
    for path, text in (more or {}).items():
        place = root / 'sys' / path
        place.parent.mkdir(exist_ok=True)
        place.write_text(f'{text}\n')
    facts = hosttree.Tree()
    facts.file(
        'proc/1/mountinfo', '22 1 0:21 / /proc rw shared:1 - proc proc rw'
    )
    facts.file(
        host_facts.RECORDED_NETWORK,
        json.dumps({'addresses': [], 'routes': []}),
    )
    facts.write(root)


def _add_function(
    tree: hosttree.Tree,
    path: str,
    device: ElementTree.Element,
    capability: ElementTree.Element,
) -> None:
    address = path.rpartition('/')[2]
    tree.file(f'{path}/class', capability.findtext('class'))
    tree.link(f'bus/pci/devices/{address}', path)
    driver = device.findtext('driver/name')
    if driver is not None:
        tree.folder(f'bus/pci/drivers/{driver}')
        tree.link(f'{path}/driver', f'bus/pci/drivers/{driver}')
    group = capability.find('iommuGroup')
    if group is not None:
        folder = f'kernel/iommu_groups/{group.get("number")}'
        tree.link(f'{path}/iommu_group', folder)
        tree.link(f'{folder}/devices/{address}', path)
    parent = capability.find('capability[@type="phys_function"]/address')
    if parent is not None:
        domain, bus, slot, function = (
            int(parent.get(part, ''), 16)
            for part in ('domain', 'bus', 'slot', 'function')
        )
        physical = f'{domain:04x}:{bus:02x}:{slot:02x}.{function:x}'
        tree.link(f'{path}/physfn', f'{path.rpartition("/")[0]}/{physical}')
