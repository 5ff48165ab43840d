# SPDX-License-Identifier: Apache-2.0
"""Devices that libvirt lists and cannot describe, as sysfs shows them. Pure.

They are refused, but so that operators see which device it is, and why. Facts
that only libvirt has stay unknown: network interface, offload features, vdpa.
"""

from collections.abc import Iterable
from collections.abc import Mapping

from pci_passthrough.discovery import host_facts
from pci_passthrough.discovery import node_device
from pci_passthrough.objects import device as device_obj
from pci_passthrough.objects import fields


def from_sysfs(
    addresses: Iterable[str], functions: Mapping[str, host_facts.Function]
) -> list[device_obj.PciDevice]:
    """Return devices with the facts of sysfs; ``REPORTED_FIELDS`` are set.

    :param addresses: the addresses of the devices.
    :param functions: the functions that sysfs shows, by address; those
        without vendor, product or class, and bridges, are left out.
    """
    return [
        _device(functions[address])
        for address in sorted(addresses)
        if address in functions and _is_known(functions[address])
    ]


def _is_known(function: host_facts.Function) -> bool:
    return (
        None not in (function.vendor_id, function.product_id)
        and function.pci_class is not None
        and not function.has_secondary_bus
        and not function.pci_class.startswith(node_device.BRIDGE_CLASS)
    )


def _device(function: host_facts.Function) -> device_obj.PciDevice:
    if function.physical_function is not None:
        dev_type = fields.DevType.SRIOV_VF
    elif function.total_vfs:
        dev_type = fields.DevType.SRIOV_PF
    else:
        dev_type = fields.DevType.STANDARD
    vgpu_type = function.vgpu_type
    return device_obj.described(
        address=function.address,
        parent_addr=function.physical_function,
        dev_type=dev_type,
        vendor_id=function.vendor_id,
        product_id=function.product_id,
        subsystem_vendor_id=function.subsystem_vendor_id,
        subsystem_id=function.subsystem_id,
        pci_class=function.pci_class,
        driver=function.driver,
        numa_node=function.numa_node,
        iommu_group=function.iommu_group,
        total_vfs=function.total_vfs,
        vgpu_type=None if vgpu_type == host_facts.NO_VGPU_TYPE else vgpu_type,
    )
