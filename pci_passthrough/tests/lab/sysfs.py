# SPDX-License-Identifier: Apache-2.0

"""Builds the ``/sys`` of a host that libvirt's udev driver needs.

libvirt ignores a device, mostly without an error, if it lacks a ``config``
file, a resolvable ``iommu_group``, or values that end with a newline. Without
``devices/system`` libvirt lists neither CPUs nor NUMA cells.
"""

from __future__ import annotations

import struct

from pci_passthrough.demo import hosttree
from pci_passthrough.demo import inventory
from pci_passthrough.demo import mediated

#: Link speed in GT/s to its number in the PCI Express capability.
_LINK_SPEEDS = {'2.5': 1, '5': 2, '8': 3, '16': 4, '32': 5, '64': 6}
_CPUS_PER_NODE = 16
_PLAIN_DRIVERS = ('vfio-pci', 'pci-stub')


def config_space(device: inventory.Device, *, multifunction: bool) -> bytes:
    """Return 4096 bytes of PCI configuration space (PCI-SIG, type 0 and 1)."""
    space = bytearray(4096)
    model = device.model
    is_vf = device.physical_function is not None
    # SR-IOV 1.1, 3.4.1.1: a virtual function reads all ones here.
    ids = (0xFFFF,) * 2 if is_vf else (model.vendor_id, model.product_id)
    struct.pack_into('<HHHH', space, 0, *ids, 0x0006, 0x0010)
    space[8] = 1
    space[9:12] = model.class_code.to_bytes(3, 'little')
    header_type, port_type = 0, 0
    if device.bridge_buses is not None:
        header_type, port_type = 1, 4
        space[0x19], space[0x1A] = device.bridge_buses
    else:
        struct.pack_into(
            '<HH', space, 0x2C, model.vendor_id, model.subsystem_id
        )
    space[0x0E] = header_type | (0x80 if multifunction else 0)
    space[0x34] = 0x40
    struct.pack_into('<BBH', space, 0x40, 0x10, 0x80, 2 | port_type << 4)
    # libvirt resets only devices with function level reset.
    struct.pack_into('<I', space, 0x44, 0 if header_type else 1 << 28)
    _put_link(space, device)
    struct.pack_into('<BBH', space, 0x80, 0x11, 0x00, 0x003F)
    if device.vf_model is not None:
        total, enabled = device.total_vfs, len(device.vfs)
        struct.pack_into('<I', space, 0x100, 0x0010 | 1 << 16)
        struct.pack_into(
            '<HHHHHH', space, 0x10C, total, total, enabled, 0,
            inventory.VF_OFFSET, 1,
        )  # fmt: skip
        struct.pack_into('<H', space, 0x11A, device.vf_model.product_id)
    return bytes(space)


def _put_link(space: bytearray, device: inventory.Device) -> None:
    if device.link is not None:
        word = _LINK_SPEEDS[device.link.speed] | device.link.width << 4
        struct.pack_into('<I', space, 0x4C, word)
        struct.pack_into('<H', space, 0x52, word)
    elif device.physical_function is not None:
        # No link status: the link belongs to the physical function.
        struct.pack_into('<I', space, 0x4C, 4 | 16 << 4)


def uevent(device: inventory.Device) -> list[str]:
    """Return the kernel's properties of a PCI device, as ``KEY=value``."""
    model = device.model
    code = model.class_code
    lines = [f'DRIVER={device.driver}'] if device.driver else []
    return [
        *lines,
        f'PCI_CLASS={code:X}',
        f'PCI_ID={model.vendor_id:04X}:{model.product_id:04X}',
        f'PCI_SUBSYS_ID={model.vendor_id:04X}:{model.subsystem_id:04X}',
        f'PCI_SLOT_NAME={device.address}',
        f'MODALIAS=pci:v{model.vendor_id:08X}d{model.product_id:08X}'
        f'sv{model.vendor_id:08X}sd{model.subsystem_id:08X}'
        f'bc{code >> 16:02X}sc{code >> 8 & 255:02X}i{code & 255:02X}',
    ]


def _add_attributes(
    tree: hosttree.Tree, host: inventory.Host, device: inventory.Device
) -> None:
    path, model = host.path(device.address), device.model
    multifunction = any(
        f'{device.address[:-1]}{function}' in host.devices
        for function in '01234567'
        if function != device.address[-1]
    )
    low = device.numa_node * _CPUS_PER_NODE
    attributes: dict[str, object] = {
        'vendor': f'{model.vendor_id:#06x}',
        'device': f'{model.product_id:#06x}',
        'subsystem_vendor': f'{model.vendor_id:#06x}',
        'subsystem_device': f'{model.subsystem_id:#06x}',
        'class': f'{model.class_code:#08x}',
        'revision': '0x01',
        'irq': 0,
        'enable': 1,
        'numa_node': device.numa_node,
        'local_cpulist': f'{low}-{low + _CPUS_PER_NODE - 1}',
        'modalias': uevent(device)[-1].partition('=')[2],
        'driver_override': '(null)',
        'reset': '',
        'reset_method': 'flr bus',
        'remove': '',
        'config': config_space(device, multifunction=multifunction),
        'resource': '\n'.join([' '.join(['0x' + '0' * 16] * 3)] * 13),
    }
    if device.link is not None:
        for kind in ('max', 'current'):
            attributes[f'{kind}_link_speed'] = (
                f'{float(device.link.speed)} GT/s PCIe'
            )
            attributes[f'{kind}_link_width'] = device.link.width
    if model.class_code == 0x030000:
        attributes['boot_vga'] = int(device.boot_vga)
    for name, value in attributes.items():
        tree.file(f'{path}/{name}', value)


def _add_sriov(
    tree: hosttree.Tree, host: inventory.Host, device: inventory.Device
) -> None:
    path = host.path(device.address)
    if device.vf_model is not None:
        tree.file(f'{path}/sriov_totalvfs', device.total_vfs)
        tree.file(f'{path}/sriov_numvfs', len(device.vfs))
        tree.file(f'{path}/sriov_drivers_autoprobe', 1)
        tree.file(f'{path}/sriov_offset', inventory.VF_OFFSET)
        tree.file(f'{path}/sriov_stride', 1)
        tree.file(
            f'{path}/sriov_vf_device', f'{device.vf_model.product_id:04x}'
        )
    if device.physical_function is not None:
        physical_path = host.path(device.physical_function)
        tree.link(f'{path}/physfn', physical_path)
        tree.link(f'{physical_path}/virtfn{device.vf_index}', path)


def add_bound(
    tree: hosttree.Tree, host: inventory.Host, device: inventory.Device
) -> None:
    """Add a device's files that exist only while a driver is bound."""
    path = host.path(device.address)
    tree.file(f'{path}/uevent', '\n'.join(uevent(device)))
    if device.driver is not None:
        add_driver(tree, device.driver)
    hosttree.add_driver_link(tree, host, device)
    hosttree.add_disk(tree, host, device)
    hosttree.add_interface(tree, host, device)
    mediated.add_types(tree, host, device)
    interface = device.interface
    if interface is None:
        return
    folder = f'{path}/net/{interface.name}'
    for name, value in {
        'uevent': f'INTERFACE={interface.name}\nIFINDEX={interface.index}',
        'addr_len': 6,
        'iflink': interface.index,
        'type': 1,
        'mtu': 1500,
        'flags': '0x1003',
        'carrier': int(interface.up),
        'speed': interface.speed if interface.up else -1,
        'dev_id': '0x0',
        'dev_port': 0,
    }.items():
        tree.file(f'{folder}/{name}', value)
    tree.link(f'{folder}/subsystem', 'class/net')


def add_device(
    tree: hosttree.Tree, host: inventory.Host, device: inventory.Device
) -> None:
    """Add all files of one device."""
    path = host.path(device.address)
    _add_attributes(tree, host, device)
    _add_sriov(tree, host, device)
    tree.link(f'{path}/subsystem', 'bus/pci')
    tree.link(f'bus/pci/devices/{device.address}', path)
    group = f'kernel/iommu_groups/{device.iommu_group}'
    tree.file(f'{group}/type', 'DMA-FQ')
    tree.link(f'{path}/iommu_group', group)
    tree.link(f'{group}/devices/{device.address}', path)
    add_bound(tree, host, device)


def add_driver(tree: hosttree.Tree, name: str) -> None:
    """Add a driver with its control files."""
    for control in ('bind', 'unbind', 'new_id', 'remove_id'):
        tree.file(f'bus/pci/drivers/{name}/{control}', '')


def _add_cpus(tree: hosttree.Tree, nodes: int) -> None:
    cpus = nodes * _CPUS_PER_NODE
    for name in ('online', 'present', 'possible'):
        tree.file(f'devices/system/cpu/{name}', f'0-{cpus - 1}')
    for cpu in range(cpus):
        path = f'devices/system/cpu/cpu{cpu}'
        node = cpu // _CPUS_PER_NODE
        low = node * _CPUS_PER_NODE
        siblings = f'{low}-{low + _CPUS_PER_NODE - 1}'
        for name, value in {
            'online': 1,
            'topology/physical_package_id': node,
            'topology/die_id': 0,
            'topology/core_id': cpu % _CPUS_PER_NODE,
            'topology/thread_siblings_list': cpu,
            'topology/thread_siblings': f'{1 << cpu:x}',
            'topology/core_siblings_list': siblings,
        }.items():
            tree.file(f'{path}/{name}', value)
        node_path = f'devices/system/node/node{node}'
        tree.link(f'{path}/node{node}', node_path)
        tree.link(f'{node_path}/cpu{cpu}', path)


def _bitmap(bits: int) -> str:
    # The kernel prints a mask in words of 32 bits, the highest word first.
    text = f'{bits:x}'
    text = text.zfill(-(-len(text) // 8) * 8)
    return ','.join(text[at : at + 8] for at in range(0, len(text), 8))


def _add_memory(tree: hosttree.Tree, nodes: int) -> None:
    for name in ('online', 'possible', 'has_cpu', 'has_memory'):
        tree.file(f'devices/system/node/{name}', f'0-{nodes - 1}')
    for node in range(nodes):
        path = f'devices/system/node/node{node}'
        low = node * _CPUS_PER_NODE
        mask = ((1 << _CPUS_PER_NODE) - 1) << low
        tree.file(f'{path}/cpulist', f'{low}-{low + _CPUS_PER_NODE - 1}')
        tree.file(f'{path}/cpumap', _bitmap(mask))
        tree.file(
            f'{path}/distance',
            ' '.join(
                '10' if node == other else '21' for other in range(nodes)
            ),
        )
        tree.file(
            f'{path}/meminfo',
            f'Node {node} MemTotal: 268435456 kB\n'
            f'Node {node} MemFree: 260000000 kB',
        )
        for page in (2048, 1048576):
            for name in ('nr', 'free', 'surplus'):
                tree.file(
                    f'{path}/hugepages/hugepages-{page}kB/{name}_hugepages', 0
                )


def build_tree(host: inventory.Host) -> hosttree.Tree:
    """Return the ``/sys`` of a host."""
    tree = hosttree.Tree()
    for folder in ('class/pci_bus', 'class/iommu', 'module/vfio_pci'):
        tree.folder(folder)
    tree.folder('class/net')
    for control in ('drivers_probe', 'rescan'):
        tree.file(f'bus/pci/{control}', '')
    tree.file('bus/pci/drivers_autoprobe', 1)
    for driver in _PLAIN_DRIVERS:
        add_driver(tree, driver)
    for device in host.devices.values():
        add_driver(tree, device.model.driver)
        if device.vf_model is not None:
            add_driver(tree, device.vf_model.driver)
        add_device(tree, host, device)
    hosttree.add_usb(tree, host)
    _add_cpus(tree, host.shape.numa_nodes)
    _add_memory(tree, host.shape.numa_nodes)
    for page in (2048, 1048576):
        tree.file(f'kernel/mm/hugepages/hugepages-{page}kB/nr_hugepages', 0)
    return tree
