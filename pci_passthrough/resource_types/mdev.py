# SPDX-License-Identifier: Apache-2.0
"""Mediated devices: slices of a PCI function that its driver makes.

An entry of pci_information plans them: how many, of which type, on each
function that it matches. Planned devices are offered whether they exist yet or
not; the handler ``mdev`` makes them. Their UUIDs follow from the host, the
function, the type and a number, so that the same device has the same UUID
after the host has been started again, without a file that says so.

The files are described in the kernel's
Documentation/ABI/testing/sysfs-bus-vfio-mdev.
"""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
import functools
import uuid

from pci_passthrough.objects import device as device_obj
from pci_passthrough.objects import fields
from pci_passthrough.resource_types import interface
from pci_passthrough.resource_types import mdev_files
from pci_passthrough.specs import pci_information

#: Namespace of the UUIDs of planned devices.
_NAMESPACE = uuid.UUID('6f2b7f0e-3c0e-5d0f-9d5c-6a8a3c1d5b1e')

#: The tag, and the word of an entry, that names the type of the driver.
TYPE_TAG = 'type'

#: Most devices of one type on a function; the drivers make no more.
_MOST = 256

#: What a mediated device has in common with its function, so that an entry or
#: a PCI flavor can match it.
_OF_PARENT = (
    'vendor_id',
    'product_id',
    'subsystem_vendor_id',
    'subsystem_id',
    'pci_class',
    'driver',
    'numa_node',
)


class MediatedDevices(interface.ResourceType):
    """The mediated devices that entries plan."""

    name = fields.ResourceType.MDEV
    default_handlers = ('mdev',)
    heeds_count = True
    example = (
        '{"match": {"resource_type": "mdev", "vendor_id": "10de"}, '
        '"type": "nvidia-558"}'
    )

    def check(self, entry: pci_information.Entry) -> None:
        """Check that an entry says which type it plans.

        :raises ValueError: it does not.
        """
        if entry.exclude:
            return
        kind = entry.extra_info.get(TYPE_TAG)
        if kind is None:
            raise ValueError(
                'names no "type", the directory below mdev_supported_types '
                'of the function in sysfs, such as nvidia-558'
            )
        if not mdev_files.TYPE_NAME.fullmatch(kind):
            raise ValueError(f'{kind!r} is no type of mediated devices')

    def find(self, host: interface.Host) -> Iterator[interface.Found]:
        """Return the planned devices of all functions that entries match."""
        if host.root is None:
            return
        parents = set(mdev_files.functions_of(host.root))
        for function in host.functions:
            if function.address not in parents:
                continue
            entry = _entry_for(host.entries, function)
            types = mdev_files.types_of(host.root, function.address)
            if entry is not None and not entry.exclude and types:
                yield from _planned(host.name, function, types, entry)

    def guest_device(
        self, device: device_obj.PciDevice, root: str = '/'
    ) -> str | None:
        """Return ``<hostdev type='mdev'>``.

        :raises NotThereYet: the device has not been made.
        :raises ResourceTypeError: it is of another type.
        """
        wanted = device.extra_info.get(TYPE_TAG)
        try:
            kind = mdev_files.type_of(root, device.address)
        except OSError as error:
            raise interface.ResourceTypeError(
                f'the mediated device {device.address} cannot be read: {error}'
            ) from error
        if kind is None:
            raise interface.NotThereYet(
                f'the mediated device {device.address} of type {wanted} on '
                f'{device.parent_addr} does not exist'
            )
        if wanted not in (None, kind):
            raise interface.ResourceTypeError(
                f'the mediated device {device.address} on '
                f'{device.parent_addr} is of type {kind}, not {wanted}'
            )
        return (
            "<hostdev mode='subsystem' type='mdev' managed='no' "
            "model='vfio-pci'><source>"
            f"<address uuid='{device.address}'/></source></hostdev>"
        )

    def nodes(
        self, device: device_obj.PciDevice, root: str = '/'
    ) -> Sequence[str]:
        """Return the VFIO node of the device's IOMMU group."""
        group = mdev_files.group_of(root, device.address)
        return () if group is None else (f'/dev/vfio/{group}',)

    def leftovers(
        self, host: interface.Host, planned: Iterable[device_obj.PciDevice]
    ) -> Iterator[device_obj.PciDevice]:
        """Yield devices that an agent of this host has made, now unplanned."""
        if host.root is None:
            return
        wanted = {str(device.address) for device in planned}
        for address in mdev_files.functions_of(host.root):
            for kind in mdev_files.types_of(host.root, address):
                for identifier in kind.devices:
                    own = _own_uuids(host.name, address, kind.name)
                    if identifier in own and identifier not in wanted:
                        yield device_obj.described(
                            resource_type=fields.ResourceType.MDEV,
                            address=identifier,
                            parent_addr=address,
                            extra_info={TYPE_TAG: kind.name},
                        )


def uuid_of(host: str, parent: str, kind: str, index: int) -> str:
    """Return the UUID of a planned device. Pure.

    :param host: the host's name in Nova.
    :param parent: address of the function.
    :param kind: the driver's name of the type.
    :param index: from 0.
    """
    return str(uuid.uuid5(_NAMESPACE, f'{host}/{parent}/{kind}/{index}'))


@functools.lru_cache(maxsize=4096)
def _own_uuids(host: str, parent: str, kind: str) -> frozenset[str]:
    return frozenset(
        uuid_of(host, parent, kind, index) for index in range(_MOST)
    )


def _entry_for(
    entries: Sequence[pci_information.Entry], function: device_obj.PciDevice
) -> pci_information.Entry | None:
    """Return the first entry that matches the devices of a function."""
    # They differ from each other in the UUID only, which no entry names.
    candidate = _described(function, str(_NAMESPACE))
    return next(
        (e for e in entries if e.matches(candidate, function.devname)), None
    )


def _described(
    function: device_obj.PciDevice, identifier: str
) -> device_obj.PciDevice:
    return device_obj.described(
        resource_type=fields.ResourceType.MDEV,
        address=identifier,
        parent_addr=function.address,
        **{name: function.get(name) for name in _OF_PARENT},
    )


def _planned(
    host: str,
    function: device_obj.PciDevice,
    types: Sequence[mdev_files.MediatedType],
    entry: pci_information.Entry,
) -> Iterator[interface.Found]:
    """Yield the devices that an entry plans on a function."""
    address = str(function.address)
    wanted = entry.extra_info.get(TYPE_TAG, '')
    kind = {kind.name: kind for kind in types}.get(wanted)
    obstacle = _obstacle(host, address, types, wanted)
    left = 0 if kind is None else kind.available
    is_planned = False
    for index in range(min(entry.count or _MOST, _MOST)):
        identifier = uuid_of(host, address, wanted, index)
        refusal = obstacle
        if kind is None or identifier not in kind.devices:
            left -= 1
            if left < 0 and entry.count is None:
                continue
            if left < 0 and refusal is None:
                refusal = f'{address} can make no more of type {wanted}'
        is_planned = True
        yield interface.Found(_described(function, identifier), refusal)
    if not is_planned:
        yield interface.Found(
            _described(function, uuid_of(host, address, wanted, 0)),
            obstacle or f'{address} can make none of type {wanted} now',
        )


def _obstacle(
    host: str,
    address: str,
    types: Sequence[mdev_files.MediatedType],
    wanted: str,
) -> str | None:
    """Return why no mediated device of a type can be offered on a function."""
    if wanted not in {kind.name for kind in types}:
        known = ', '.join(
            f'{kind.name} ({kind.label})' if kind.label else kind.name
            for kind in types
        )
        return f'{address} makes no {wanted}; its types are: {known}'
    for kind in types:
        for identifier in kind.devices:
            if identifier not in _own_uuids(host, address, kind.name):
                return (
                    f'{address} has the mediated device {identifier} of type '
                    f'{kind.name}, which is not one of this agent: another '
                    'service such as Nova with [devices] enabled_mdev_types '
                    'uses the function, or somebody has made it by hand'
                )
    return None
