# SPDX-License-Identifier: Apache-2.0

"""Files of a simulated host below ``/sys``, ``/proc`` and ``/run``.

They have the facts that libvirt does not return: subsystem ids, drivers, and
the devices that the host itself uses (mounted disks, interfaces with addresses
or the default route).
"""

from __future__ import annotations

import ipaddress
import json

from pci_passthrough.demo import inventory
from pci_passthrough.demo import mediated
from pci_passthrough.demo import usb
from pci_passthrough.demo.tree import Symlink as Symlink
from pci_passthrough.demo.tree import Tree as Tree
from pci_passthrough.discovery import host_facts


def add_driver_link(
    tree: Tree, host: inventory.Host, device: inventory.Device
) -> None:
    """Add the links between a device and its driver (below ``/sys``)."""
    if device.driver is None:
        return
    path = host.path(device.address)
    driver = f'bus/pci/drivers/{device.driver}'
    tree.folder(driver)
    tree.link(f'{path}/driver', driver)
    tree.link(f'{driver}/{device.address}', path)


def add_interface(
    tree: Tree, host: inventory.Host, device: inventory.Device
) -> None:
    """Add a device's network interface (below ``/sys``)."""
    interface = device.interface
    if interface is None:
        return
    device_path = host.path(device.address)
    path = f'{device_path}/net/{interface.name}'
    tree.file(f'{path}/address', interface.mac)
    tree.file(f'{path}/ifindex', interface.index)
    tree.file(f'{path}/operstate', 'up' if interface.up else 'down')
    tree.link(f'{path}/device', device_path)
    tree.link(f'class/net/{interface.name}', path)


def add_disk(
    tree: Tree, host: inventory.Host, device: inventory.Device
) -> None:
    """Add a device's disk with its partitions (below ``/sys``)."""
    disk = device.disk
    if disk is None:
        return
    controller = disk.name.rpartition('n')[0]
    device_path = host.path(device.address)
    controller_path = f'{device_path}/nvme/{controller}'
    tree.link(f'{controller_path}/device', device_path)
    path = f'{controller_path}/{disk.name}'
    tree.link(f'{path}/device', controller_path)
    tree.link(f'block/{disk.name}', path)
    _add_block(tree, disk, path)
    for number, partition in enumerate(disk.partitions, 1):
        tree.file(f'{path}/{partition.name}/partition', number)
        _add_block(tree, partition, f'{path}/{partition.name}')


def _add_block(tree: Tree, block: inventory.BlockDevice, path: str) -> None:
    number = f'{block.major}:{block.minor}'
    tree.file(f'{path}/dev', number)
    tree.file(f'{path}/size', block.sectors)
    tree.folder(f'{path}/holders')
    for holder in block.holders:
        holder_path = f'devices/virtual/block/{holder}'
        tree.folder(holder_path)
        tree.link(f'{path}/holders/{holder}', holder_path)
    tree.link(f'class/block/{block.name}', path)
    tree.link(f'dev/block/{number}', path)


def add_usb(tree: Tree, host: inventory.Host) -> None:
    """Add the USB devices, and their disks (below ``/sys``)."""
    usb.add_devices(tree, host)
    for device in host.usb_devices.values():
        if device.disk is not None:
            _add_block(tree, device.disk, usb.disk_path(host, device))


def sysfs_tree(host: inventory.Host) -> Tree:
    """Return the files below ``/sys`` that discovery reads."""
    tree = Tree()
    tree.file('bus/pci/drivers_probe', b'')
    for address, device in host.devices.items():
        path = host.path(address)
        model = device.model
        tree.file(f'{path}/class', f'{model.class_code:#08x}')
        tree.file(f'{path}/subsystem_vendor', f'{model.vendor_id:#06x}')
        tree.file(f'{path}/subsystem_device', f'{model.subsystem_id:#06x}')
        group = f'kernel/iommu_groups/{device.iommu_group}'
        tree.link(f'{path}/iommu_group', group)
        tree.link(f'{group}/devices/{address}', path)
        if device.bridge_buses is None:
            methods = 'flr bus' if device.physical_function is None else 'flr'
            tree.file(f'{path}/reset_method', methods)
            tree.file(f'{path}/reset', b'')
            tree.file(f'{path}/driver_override', '(null)')
        if device.boot_vga:
            tree.file(f'{path}/boot_vga', 1)
        if device.total_vfs:
            tree.file(f'{path}/sriov_totalvfs', device.total_vfs)
            tree.file(f'{path}/sriov_numvfs', len(device.vfs))
        for index, vf in enumerate(device.vfs):
            tree.link(f'{path}/virtfn{index}', host.path(vf))
            tree.link(f'{host.path(vf)}/physfn', path)
        tree.link(f'bus/pci/devices/{address}', path)
        add_driver_link(tree, host, device)
        add_interface(tree, host, device)
        add_disk(tree, host, device)
        mediated.add_types(tree, host, device)
    add_usb(tree, host)
    return tree


def _blocks(host: inventory.Host) -> list[inventory.BlockDevice]:
    disks = [
        *(device.disk for device in host.devices.values()),
        *(device.disk for device in host.usb_devices.values()),
    ]
    return [
        part for disk in disks if disk for part in (disk, *disk.partitions)
    ]


def udev_records(host: inventory.Host) -> Tree:
    """Return udev's records of USB devices, and of all disks and partitions.

    Even empty disks have one.
    """
    tree = Tree()
    tree.update(usb.udev_records(host))
    for block in _blocks(host):
        record = ['I:1000000']
        if block.file_system:
            record.append(f'E:ID_FS_TYPE={block.file_system}')
        tree.file(
            f'run/udev/data/b{block.major}:{block.minor}', '\n'.join(record)
        )
    return tree


def _storage_facts(tree: Tree, host: inventory.Host) -> None:
    mounts = ['23 1 0:22 / /proc rw,relatime shared:1 - proc proc rw']
    swaps = ['Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority']
    for block in _blocks(host):
        number = f'{block.major}:{block.minor}'
        if block.mount_point == 'swap':
            size = block.sectors // 2
            swaps.append(f'/dev/{block.name}  partition\t{size}\t0\t-2')
        elif block.mount_point:
            mounts.append(
                f'{30 + block.minor} 1 {number} / {block.mount_point} '
                f'rw,relatime shared:{30 + block.minor} - '
                f'{block.file_system} /dev/{block.name} rw'
            )
    tree.file('proc/1/mountinfo', '\n'.join(mounts))
    tree.file('proc/swaps', '\n'.join(swaps))


def _network_facts(tree: Tree, host: inventory.Host) -> None:
    addresses: list[dict[str, str]] = []
    routes: list[dict[str, object]] = []
    for device in host.devices.values():
        interface = device.interface
        if interface is None or interface.cidr is None:
            continue
        addresses.append(
            {'interface': interface.name, 'address': interface.cidr}
        )
        network = ipaddress.ip_interface(interface.cidr).network
        destinations = [str(network)]
        if interface.gateway is not None:
            destinations.append('default')
        routes.extend(
            {'destination': destination, 'interfaces': [interface.name]}
            for destination in destinations
        )
    tree.file(
        host_facts.RECORDED_NETWORK,
        json.dumps({'addresses': addresses, 'routes': routes}),
    )


def facts_tree(host: inventory.Host) -> Tree:
    """Return ``/proc`` and ``/run``: the devices that the host itself uses."""
    tree = Tree()
    tree.update(udev_records(host))
    _storage_facts(tree, host)
    _network_facts(tree, host)
    return tree
