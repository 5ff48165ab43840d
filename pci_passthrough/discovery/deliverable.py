# SPDX-License-Identifier: Apache-2.0
"""Decides which PCI functions no guest can have. Pure.

An instance with such a function does not start, or gets a function that does
not work. Unlike the host's own use (``in_use``), no entry of pci_information
can override these facts:

* the function is in no IOMMU group: VFIO cannot isolate it;
* another function of its IOMMU group is bound to a driver of the host and is
  not offered: VFIO gives a guest all functions of a group or none
  (Documentation/driver-api/vfio.rst, "group viability");
* its PCI domain is greater than ffff: Nova has four digits for it
  (``MAX_DOMAIN`` in ``nova.pci.devspec``);
* mediated devices (mdev) of the function, or of its virtual functions, exist:
  they disappear with the host's driver;
* it is a virtual function of a vGPU card and has no vGPU type;
* it is bound to vfio-pci, and VFIO has no node for its IOMMU group. (Whether
  another process has the node open is not tried: a guest that starts at that
  moment could not open it.)

The boot VGA device and the VGA device of a BMC can work in a guest. But an
entry that matches by class does not mean them. They are offered only if the
entry names them.
"""

from collections.abc import Collection
from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses

from pci_passthrough.discovery import host_facts
from pci_passthrough.discovery import node_device
from pci_passthrough.objects import device as device_obj
from pci_passthrough.specs import pci_information as pci_information_module

#: A device, and the entry of pci_information that matches it.
Match = tuple[device_obj.PciDevice, pci_information_module.Entry]

_MAX_DOMAIN = 0xFFFF

#: Subclasses of bridges with a bus behind them: PCI-to-PCI, CardBus, and
#: semi-transparent PCI-to-PCI. VFIO ignores functions with a bridge's header,
#: but not a host bridge or ISA bridge that is bound to a driver.
_BRIDGES = ('0604', '0607', '0609')

_DISPLAY = '03'

#: VGA devices of BMCs, by vendor id: product ids, None for all. From the
#: device tables of Linux' drivers: ast (ASPEED), mgag200 (Matrox G200
#: variants of servers; 0520 and 0521 are graphics cards), hibmc (HiSilicon).
_BMC_VGA: Mapping[str, Collection[str] | None] = {
    '1a03': None,
    '102b': (
        '0522', '0524', '0530', '0532', '0533', '0534', '0536', '0538',
        '053a',
    ),
    '19e5': ('1711',),
}  # fmt: skip


def functions_of(
    listing: node_device.Listing,
    in_sysfs: Mapping[str, host_facts.Function],
) -> dict[str, host_facts.Function]:
    """Return the facts of libvirt and sysfs together, by address.

    :param listing: the devices as libvirt lists them, without properties
        from before: those are wrong while a guest has the device.
    :param in_sysfs: the functions that sysfs shows, {} if it is not read.
    """
    functions = dict(in_sysfs)
    for device in listing.devices:
        function = in_sysfs.get(device.address)
        if function is None:
            function = _from_libvirt(device)
        elif function.iommu_group is None:
            function = dataclasses.replace(
                function, iommu_group=device.iommu_group
            )
        if device.address in listing.mediated:
            function = dataclasses.replace(function, has_mediated_devices=True)
        functions[device.address] = function
    return functions


def _from_libvirt(device: device_obj.PciDevice) -> host_facts.Function:
    driver = device.driver
    if driver is None and device.devname is not None:
        # libvirt's test driver does not return drivers. A function with a
        # network interface has one.
        driver = f'the driver of {device.devname}'
    return host_facts.Function(
        address=device.address,
        pci_class=device.pci_class,
        driver=driver,
        physical_function=device.parent_addr,
        iommu_group=device.iommu_group,
    )


def reasons_undeliverable(
    matches: Mapping[str, Match],
    kept: Collection[str],
    functions: Mapping[str, host_facts.Function],
    *,
    sysfs_is_read: bool,
) -> dict[str, str]:
    """Return the reasons why no guest can have functions, by address.

    :param matches: the devices that entries match, by address. The entries
        do not exclude them.
    :param kept: addresses of the devices that are refused because the host
        uses them, or for another reason.
    :param functions: the result of ``functions_of``. Without facts about a
        function only its address decides.
    :param sysfs_is_read: False for a libvirt test driver without sysfs,
        whose devices need no IOMMU group.
    :returns: only addresses of ``matches``. Functions without a reason can
        be given to guests.
    """
    mediated = {
        function.physical_function: address
        for address, function in sorted(functions.items())
        if function.has_mediated_devices
    }
    reasons: dict[str, str] = {}
    for address, match in matches.items():
        function = functions.get(address)
        for reason in (
            *_reasons_by_address(address),
            *(_reasons_by_facts(function, mediated) if function else ()),
            *_reasons_by_entry(match, function),
        ):
            reasons.setdefault(address, reason)
        in_group = function is not None and function.iommu_group is not None
        if sysfs_is_read and not in_group:
            reasons.setdefault(
                address,
                'it is in no IOMMU group: the IOMMU is off, or this device '
                'has none',
            )
    offered = matches.keys() - kept - reasons.keys()
    for address, reason in _reasons_by_group(functions, offered):
        if address in matches:
            reasons.setdefault(address, reason)
    return reasons


def _reasons_by_address(address: str) -> Iterator[str]:
    domain = address.partition(':')[0]
    if int(domain, 16) > _MAX_DOMAIN:
        yield (
            f'Nova cannot address its PCI domain {domain}, which is greater '
            'than ffff (a device behind Intel VMD)'
        )


def _reasons_by_facts(
    function: host_facts.Function, mediated: Mapping[str | None, str]
) -> Iterator[str]:
    """Yield the reasons that are properties of a function.

    :param mediated: physical function to a virtual function that has mediated
        devices.
    """
    if function.has_mediated_devices:
        yield 'it has live mediated devices (mdev)'
    if function.lacks_vfio_node:
        yield (
            f'it is bound to {function.driver}, and /dev/vfio/'
            f'{function.iommu_group} does not exist, which a guest needs'
        )
    if function.address in mediated:
        yield (
            f'its virtual function {mediated[function.address]} has live '
            'mediated devices (mdev)'
        )
    if function.physical_function is None:
        return
    if function.vgpu_type == host_facts.NO_VGPU_TYPE:
        yield 'it is a virtual function without a vGPU type'
    elif function.vgpu_type is None and function.supports_mediated_devices:
        yield (
            'it is a virtual function for mediated devices (mdev), and does '
            'not work in a guest itself'
        )


def _reasons_by_entry(
    match: Match, function: host_facts.Function | None
) -> Iterator[str]:
    device, entry = match
    if entry.names_hardware:
        return
    kind = None
    if _is_vga_of_bmc(device):
        kind = 'the VGA device of a BMC'
    elif function is not None and function.boot_vga:
        kind = 'the boot VGA device'
    if kind is not None:
        yield (
            f'it is {kind}, which an entry must name, for example by '
            'vendor_id and product_id'
        )


def _is_vga_of_bmc(device: device_obj.PciDevice) -> bool:
    products = _BMC_VGA.get(device.vendor_id or '', ())
    return (device.pci_class or '').startswith(_DISPLAY) and (
        products is None or device.product_id in products
    )


def _reasons_by_group(
    functions: Mapping[str, host_facts.Function], offered: Collection[str]
) -> Iterator[tuple[str, str]]:
    """Yield (address, reason) for functions in groups that are not viable.

    One pass is enough: a function that is refused because of its group is in
    the same group as all functions that this refusal affects, and all of
    these are refused because of the same members.

    :param offered: addresses of devices without any other reason.
    """
    groups: dict[int, list[host_facts.Function]] = {}
    for _, function in sorted(functions.items()):
        if function.iommu_group is not None:
            groups.setdefault(function.iommu_group, []).append(function)
    for members in groups.values():
        holders = [
            member
            for member in members
            if member.address not in offered
            and device_obj.is_host_driver(member.driver)
            and not _is_bridge(member)
        ]
        for member in members:
            others = ', '.join(
                f'{holder.address} ({holder.driver})'
                for holder in holders
                if holder is not member
            )
            if others:
                yield (
                    member.address,
                    'other functions of its IOMMU group are bound to '
                    f'drivers of the host and not offered: {others}',
                )


def _is_bridge(function: host_facts.Function) -> bool:
    return function.has_secondary_bus or (
        function.pci_class is not None
        and function.pci_class.startswith(_BRIDGES)
    )
