# SPDX-License-Identifier: Apache-2.0
"""Scans a host: which of its devices are offered, which are refused and why.

``classify`` decides and is pure; ``scan`` reads.
"""

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import functools
import types as types_module

from pci_passthrough.discovery import deliverable
from pci_passthrough.discovery import hidden_properties
from pci_passthrough.discovery import host_facts
from pci_passthrough.discovery import idle_entries
from pci_passthrough.discovery import in_use
from pci_passthrough.discovery import node_device
from pci_passthrough.discovery import refusing
from pci_passthrough.discovery import resources
from pci_passthrough.discovery import sysfs_reader as sysfs_reader_module
from pci_passthrough.discovery import undescribed
from pci_passthrough.discovery import uplink
from pci_passthrough.objects import device as device_obj
from pci_passthrough.objects import identity
from pci_passthrough.objects import recordable
from pci_passthrough.specs import pci_information as pci_information_module

_NO_TYPES: resources.Types = types_module.MappingProxyType({})

#: Returns the names of the handlers of a device, from its entry.
HandlersOf = Callable[
    [device_obj.PciDevice, pci_information_module.Entry], Sequence[str]
]

#: Returns why handlers of a device cannot run, None if they can.
ObstacleOf = Callable[
    [device_obj.PciDevice, pci_information_module.Entry], str | None
]


@dataclasses.dataclass(frozen=True, slots=True)
class Offered:
    """A device that guests may get; ``extra_info`` and ``offered_by`` set.

    :ivar dropped: why facts of it cannot be recorded, by the fact's name.
    """

    device: device_obj.PciDevice
    entry: pci_information_module.Entry
    dropped: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class Refused:
    """A device that an entry matches, but that no guest may or can have.

    The host itself uses it, or no guest can have it, or both.
    """

    device: device_obj.PciDevice
    entry: pci_information_module.Entry
    #: text for people
    reason: str

    @property
    def is_undecided(self) -> bool:
        """Whether the scan could not tell if the host uses the device."""
        return self.reason.startswith(in_use.USE_UNKNOWN)


@dataclasses.dataclass(frozen=True, slots=True)
class Scan:
    """The result of one scan of a host; all lists are sorted by address."""

    offered: list[Offered]
    refused: list[Refused]
    #: what the devices are that no entry matches or that an entry excludes:
    #: address to ``objects.Identity`` as text
    others: dict[str, str]
    #: True if the host's use of devices was not checked
    use_unknown: bool
    #: returns the entries that decide about no device; compares each with
    #: each device
    find_idle: Callable[[], tuple[idle_entries.IdleEntry, ...]] = (
        dataclasses.field(default=tuple, compare=False)
    )
    #: why neither libvirt nor sysfs describes other devices, by address
    unusable: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def left_out(self) -> dict[str, str]:
        """``others``, and the unusable devices with an empty text."""
        return self.others | dict.fromkeys(self.unusable, '')

    @property
    def withdrawn(self) -> list[str]:
        """The addresses of all devices that exist but are not offered."""
        return sorted(
            [
                *self.left_out,
                *(str(item.device.address) for item in self.refused),
            ]
        )


def classify(
    devices: Iterable[device_obj.PciDevice],
    uses: Mapping[str, str] | None,
    functions: Mapping[str, host_facts.Function],
    pci_information: pci_information_module.PciInformation,
    unusable: Mapping[str, str] | None = None,
    handlers: Mapping[str, Sequence[str]] | None = None,
    others: resources.Resources = resources.Resources(),
) -> Scan:
    """Sort devices into offered, refused and others. Pure.

    :param devices: all PCI functions of a host.
    :param uses: the reason why the host itself uses a device, by address.
        The host does not use a device without a reason. None means that
        sysfs was not read; then nothing is refused for its use.
    :param functions: the result of ``deliverable.functions_of``.
    :param pci_information: the host's entries.
    :param unusable: why libvirt cannot describe devices, by address; those
        among ``devices`` are refused if an entry matches them.
    :param handlers: the handlers of matched devices, by address.
    :param others: the devices that are no PCI functions.
    """
    devices = [*devices, *others.devices]
    unusable = unusable or {}
    handlers = handlers or {}
    matches, unmatched = _match(devices, pci_information)
    fittings = {
        address: recordable.fit(
            _as_offered(device, entry, handlers.get(address, ()))
        )
        for address, (device, entry) in matches.items()
    }
    reasons = refusing.reasons(
        matches, fittings, uses, functions, unusable, others
    )
    offered: list[Offered] = []
    refused: list[Refused] = []
    for address, (_, entry) in matches.items():
        device = fittings[address].device
        reason = '; '.join(reasons[address])
        if not reason:
            offered.append(Offered(device, entry, fittings[address].dropped))
        else:
            refused.append(
                Refused(device.replace(refusal=reason), entry, reason)
            )
    find_idle = functools.partial(idle_entries.find, devices, pci_information)
    return Scan(
        offered,
        refused,
        unmatched,
        use_unknown=uses is None,
        find_idle=find_idle,
        unusable=without(unusable, {d.address for d in devices}),
    )


def _as_offered(
    device: device_obj.PciDevice,
    entry: pci_information_module.Entry,
    handlers: Sequence[str],
) -> device_obj.PciDevice:
    """Return a device with what the entry that matches it says."""
    return device.replace(
        extra_info=dict(entry.extra_info),
        offered_by=entry.canonical,
        handlers=list(handlers),
        on_failure=entry.on_failure if handlers else None,
        **({'confirm_new': True} if entry.confirm_new else {}),
    )


def _match(
    devices: Iterable[device_obj.PciDevice],
    pci_information: pci_information_module.PciInformation,
) -> tuple[dict[str, deliverable.Match], dict[str, str]]:
    """Return (devices that entries match, ``Scan.others``)."""
    devices = sorted(devices, key=lambda device: str(device.address))
    devnames = {device.address: device.devname for device in devices}
    matches: dict[str, deliverable.Match] = {}
    others = {}
    for device in devices:
        parent = device.parent_addr
        parent_devname = None if parent is None else devnames.get(parent)
        entry = pci_information.find(device, parent_devname)
        if entry is None or entry.exclude:
            recorded = recordable.fit(device).device
            others[device.address] = str(identity.Identity.of(recorded))
        else:
            matches[device.address] = device, entry
    return matches, others


def add_sysfs_properties(
    devices: Iterable[device_obj.PciDevice],
    functions: Mapping[str, host_facts.Function],
) -> None:
    """Set the properties that sysfs has and libvirt has not, in place.

    These are the subsystem ids, the vGPU type and, with libvirt's test
    driver, the driver and the IOMMU group.
    """
    for device in devices:
        function = functions.get(device.address)
        if function is None:
            continue
        device.subsystem_vendor_id = function.subsystem_vendor_id
        device.subsystem_id = function.subsystem_id
        if function.vgpu_type != host_facts.NO_VGPU_TYPE:
            device.vgpu_type = function.vgpu_type
        if device.driver is None:
            device.driver = function.driver
        if device.total_vfs is None:
            device.total_vfs = function.total_vfs
        if device.iommu_group is None:
            device.iommu_group = function.iommu_group


def scan(
    documents: Iterable[str | node_device.Undescribed],
    sysfs_reader: sysfs_reader_module.SysfsReader | None,
    pci_information: pci_information_module.PciInformation,
    remembered: hidden_properties.HiddenProperties | None = None,
    handlers_of: HandlersOf = lambda device, entry: entry.handlers or (),
    erases: Callable[[Sequence[str]], bool] = lambda handlers: False,
    types: resources.Types = _NO_TYPES,
    host: str = '',
    obstacle_of: ObstacleOf = lambda device, entry: None,
) -> Scan:
    """Read the host's sysfs and classify the listed devices.

    :param documents: the XML of the host's node devices, just returned by
        ``LibvirtHost.list_node_devices``.
    :param sysfs_reader: None for a remote libvirt or the test driver alone;
        then the host's use of its devices is unknown, and only some of those
        that no guest can have are refused.
    :param remembered: the same object for each scan of a host.
    :param handlers_of: returns the handlers of a device that an entry matches.
    :param erases: whether handlers erase what is on a device.
    :param types: the resource types besides PCI functions.
    :param host: the host's name in Nova.
    :param obstacle_of: returns why the handlers cannot run without which a
        device that is no PCI function may not even exist.
    :raises Unavailable: the devices of a type cannot be read now.
    """
    documents = list(documents)
    # After the listing: a device that appears in between is ignored until the
    # next scan; one that disappears is refused, not offered.
    facts = None if sysfs_reader is None else sysfs_reader.facts()
    listing = node_device.parse_listing(
        documents,
        None if facts is None else uplink.main_interfaces(facts.interfaces),
    )
    devices = listing.devices
    in_sysfs: Mapping[str, host_facts.Function] = {}
    if facts is not None:
        in_sysfs = facts.functions
        add_sysfs_properties(devices, in_sysfs)
    undescribed_devices = undescribed.from_sysfs(listing.unusable, in_sysfs)
    if sysfs_reader is not None:
        sysfs_reader.serial_numbers.add([*devices, *undescribed_devices])
    functions = deliverable.functions_of(listing, in_sysfs)
    given_out: Collection[str] = ()
    if remembered is not None:
        devices = remembered.restore(devices, listing.unusable)
    devices = [*devices, *undescribed_devices]
    others = resources.find(
        types,
        host,
        None if sysfs_reader is None else sysfs_reader.path,
        [text for text in documents if isinstance(text, str)],
        devices,
        pci_information,
    )
    if remembered is not None:
        remembered.note_given_out(
            {str(device.address): device for device in others.devices},
            others.given_out,
        )
        given_out = remembered.given_out
    matches, _ = _match([*devices, *others.devices], pci_information)
    handlers = {
        address: handlers_of(*match) for address, match in matches.items()
    }
    others = others.with_refusals(
        _obstacles(matches, handlers, others.addresses, obstacle_of)
    )
    erased = {address for address, names in handlers.items() if erases(names)}
    uses = None
    if sysfs_reader is not None and facts is not None:
        uses = {
            str(device.address): sysfs_reader.reason_not_in_sysfs()
            for device in devices
            if device.address not in in_sysfs
        } | in_use.reasons_in_use(facts, given_out, erased)
    return classify(
        devices,
        uses,
        functions,
        pci_information,
        listing.unusable,
        handlers,
        others,
    )


def _obstacles(
    matches: Mapping[str, deliverable.Match],
    handlers: Mapping[str, Sequence[str]],
    wanted: Collection[str],
    obstacle_of: ObstacleOf,
) -> dict[str, str]:
    """Return why some matched devices cannot be set up, by address.

    :param wanted: the addresses of the devices in question.
    """
    obstacles = {}
    for address in wanted & matches.keys():
        device, entry = matches[address]
        as_offered = _as_offered(device, entry, handlers[address])
        obstacle = obstacle_of(as_offered, entry)
        if obstacle:
            obstacles[address] = f'it cannot be set up: {obstacle}'
    return obstacles


def without(
    texts: Mapping[str, str], addresses: Collection[str]
) -> dict[str, str]:
    """Return the texts by address but those of some addresses."""
    return {a: text for a, text in texts.items() if a not in addresses}
