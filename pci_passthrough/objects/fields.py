# SPDX-License-Identifier: Apache-2.0
"""Field types for PCI identities and for this project's enumerations.

Identifiers are kept the way libvirt and sysfs print them, in lower case and
without ``0x``.
"""

import re
from typing import Any
from typing import ClassVar

from oslo_versionedobjects import fields

#: List (OR) of dictionaries (AND) of match key to value, or list of values.
Match = list[dict[str, str | list[str]]]

_PCI_ADDRESS = re.compile(
    r'[0-9a-f]{4,8}:[0-9a-f]{2}:[0-1][0-9a-f]\.[0-7]', re.ASCII
)

#: Characters of the address of a device of any type.
LONGEST_ADDRESS = 63


#: The state in the error about a holding that an operator has ended.
HOLDING_ENDED = 'ended by an operator'


class ResourceType:
    """What a device is; the form of its address follows from that.

    Others come from entry points: see ``pci_passthrough.resource_types``.
    """

    #: a PCI function, at ``dddd:bb:ss.f``
    PCI = 'pci'
    #: a mediated device; its address is its UUID, and that of its parent is
    #: the address of a PCI function
    MDEV = 'mdev'
    #: a USB device, at bus and port as the kernel names them: ``1-2.3``
    USB = 'usb'
    #: what a name must look like
    NAME: ClassVar[re.Pattern[str]] = re.compile(
        r'[a-z][a-z0-9_-]{0,31}', re.ASCII
    )


class DevType:
    """Types of PCI functions, named as in ``nova.objects.fields``."""

    STANDARD = 'type-PCI'
    SRIOV_PF = 'type-PF'
    SRIOV_VF = 'type-VF'
    VDPA = 'vdpa'
    ALL: ClassVar[tuple[str, ...]] = (STANDARD, SRIOV_PF, SRIOV_VF, VDPA)


class DeviceStatus:
    """The stages of a device on its way to an instance and back.

    ``disabled`` and ``missing`` are no statuses: an allocated device can be
    either of them and stays with its instance. See ``PciDevice.state``.
    """

    AVAILABLE = 'available'
    CLAIMED = 'claimed'
    ALLOCATED = 'allocated'
    CLEANING = 'cleaning'
    QUARANTINED = 'quarantined'
    ALL: ClassVar[tuple[str, ...]] = (
        AVAILABLE,
        CLAIMED,
        ALLOCATED,
        CLEANING,
        QUARANTINED,
    )


class PreparationStep:
    """What handlers do with a device before an instance can have it."""

    #: set up a device that is offered anew
    SETUP = 'setup'
    #: clean a device that an instance has had, and set it up again
    CLEAN = 'clean'
    ALL: ClassVar[tuple[str, ...]] = (SETUP, CLEAN)


class OnFailure:
    """What becomes of a device whose handlers fail again and again."""

    #: it is quarantined after a number of attempts
    QUARANTINE = 'quarantine'
    #: its handlers are run again, without end
    RETRY = 'retry'
    ALL: ClassVar[tuple[str, ...]] = (QUARANTINE, RETRY)


class Presence:
    """A device's place in the host's last report."""

    OFFERED = 'offered'
    #: on the host, but no longer matched by pci_information, or refused
    WITHDRAWN = 'withdrawn'
    #: gone from the host
    MISSING = 'missing'
    ALL: ClassVar[tuple[str, ...]] = (OFFERED, WITHDRAWN, MISSING)


class NumaPolicy:
    """NUMA affinity policies of Nova's ``hw:pci_numa_affinity_policy``."""

    LEGACY = 'legacy'
    PREFERRED = 'preferred'
    REQUIRED = 'required'
    SOCKET = 'socket'
    ALL: ClassVar[tuple[str, ...]] = (LEGACY, PREFERRED, REQUIRED, SOCKET)


class RefusalCondition:
    """The conditions that can fail for a request on a host."""

    #: no device of the host matches
    NO_MATCH = 'no_match'
    #: devices match, none is free
    ALL_HELD = 'all_held'
    #: some are free, but fewer than needed
    TOO_FEW = 'too_few'
    #: enough are free, but not where the NUMA policy wants them
    NUMA = 'numa'
    #: enough are free, but other requests of the instance need them, too
    SHARED = 'shared'
    #: the host has not reported for too long
    HOST_DOWN = 'host_down'
    #: no matching device is free; held devices were not examined
    NONE_FREE = 'none_free'
    #: no agent of a host of that name has ever reported
    HOST_UNKNOWN = 'host_unknown'
    #: the host's resource tracker has not registered for too long
    TRACKER_DOWN = 'tracker_down'
    #: devices match, but the host refuses all of them
    REFUSED = 'refused'
    #: enough are free, but the project may not hold as many
    QUOTA_EXCEEDED = 'quota_exceeded'
    #: the PCI flavor is restricted to host aggregates that the host is not in
    AGGREGATE = 'aggregate'
    ALL: ClassVar[tuple[str, ...]] = (
        NO_MATCH,
        ALL_HELD,
        TOO_FEW,
        NUMA,
        SHARED,
        HOST_DOWN,
        NONE_FREE,
        HOST_UNKNOWN,
        TRACKER_DOWN,
        REFUSED,
        QUOTA_EXCEEDED,
        AGGREGATE,
    )
    #: why a host was refused otherwise; never in a RefusalReason
    OTHER = 'other'
    #: a host with free devices was no candidate of Nova's; never in a
    #: RefusalReason
    ELSEWHERE = 'elsewhere'
    #: those of RefusalReason 1.0
    OF_1_0: ClassVar[tuple[str, ...]] = ALL[:6]
    #: those of RefusalReason 1.1
    OF_1_1: ClassVar[tuple[str, ...]] = ALL[:9]
    #: those of RefusalReason 1.2
    OF_1_2: ClassVar[tuple[str, ...]] = ALL[:10]


class Repair:
    """The repairs of nova-compute, as written to the ledger.

    Nova's PCI device records and this project's claims disagreed, or a device
    changed between ``[pci] device_spec`` and pci_information.
    """

    #: freed a claim for which Nova has no record
    FREE = 'repair-free'
    #: freed a device of an instance that does not have it any more
    END = 'repair-end'
    #: allocated a claim that Nova's record shows as allocated
    ALLOCATE = 'repair-allocate'
    #: recorded the holder that only Nova's record shows
    ADOPT = 'repair-adopt'
    #: restored Nova's record of a held device
    RESTORE = 'repair-restore'
    #: took a device over that ``[pci] device_spec`` offered before
    TAKE_OVER = 'take-over'
    #: handed a device back to ``[pci] device_spec``
    HAND_BACK = 'hand-back'
    ALL: ClassVar[tuple[str, ...]] = (
        FREE,
        END,
        ALLOCATE,
        ADOPT,
        RESTORE,
        TAKE_OVER,
        HAND_BACK,
    )


class VnicType:
    """Neutron's ``binding:vnic_type`` values that need a PCI device."""

    DIRECT = 'direct'
    MACVTAP = 'macvtap'
    DIRECT_PHYSICAL = 'direct-physical'
    VDPA = 'vdpa'
    ALL: ClassVar[tuple[str, ...]] = (DIRECT, MACVTAP, DIRECT_PHYSICAL, VDPA)


class PciFlavorState:
    """Whether a PCI flavor accepts new requests."""

    ACTIVE = 'active'
    #: still accepts requests; users should choose another PCI flavor
    DEPRECATED = 'deprecated'
    #: accepts no new requests; instances keep the devices they hold
    DISABLED = 'disabled'
    ALL: ClassVar[tuple[str, ...]] = (ACTIVE, DEPRECATED, DISABLED)


class PciFlavorOrigin:
    """Where a PCI flavor comes from that no person has made."""

    #: every database has it
    BUILT_IN = 'built-in'
    #: made from the tag ``group`` or ``name`` of devices
    GROUP = 'group'
    ALL: ClassVar[tuple[str, ...]] = (BUILT_IN, GROUP)


def is_pci_address(text: str) -> bool:
    """Whether a text is the address of a PCI function, in lower case."""
    return _PCI_ADDRESS.fullmatch(text) is not None


def normalized_address(text: str, resource_type: str) -> str:
    """Return the address of a device in lower case.

    :raises ValueError: it has not the form of its type.
    """
    address = str(DeviceAddressField().coerce(None, 'address', text))
    if resource_type == ResourceType.PCI and not is_pci_address(address):
        raise ValueError(f'{text!r} is not a PCI address such as 0000:65:00.1')
    return address


class _LowerCase(fields.FieldType[str]):
    """A string of a fixed form, folded to lower case."""

    PATTERN: ClassVar[re.Pattern[str]]
    FORM: ClassVar[str]

    def coerce(self, obj: Any, attr: str, value: Any) -> str:
        text = value.lower() if isinstance(value, str) else ''
        if not self.PATTERN.fullmatch(text):
            raise ValueError(f'{attr}: {value!r} is not {self.FORM}')
        return text


class _DeviceAddress(_LowerCase):
    PATTERN = re.compile(
        rf'[0-9a-z][0-9a-z._:@-]{{0,{LONGEST_ADDRESS - 1}}}', re.ASCII
    )
    FORM = (
        'an address such as 0000:65:00.1: up to '
        f'{LONGEST_ADDRESS} letters, digits and . _ : @ -'
    )


class _HexId(_LowerCase):
    PATTERN = re.compile(r'[0-9a-f]{4}', re.ASCII)
    FORM = 'an id of four hexadecimal digits such as 8086'


class _PciClass(_LowerCase):
    PATTERN = re.compile(r'[0-9a-f]{6}', re.ASCII)
    FORM = 'a class code of six hexadecimal digits such as 020000'


class _MatchExpression(fields.FieldType[Match]):
    """A PCI flavor's match: list (OR) of dicts (AND) of key to condition.

    Only the shape is checked here; ``specs.pci_flavor`` knows the meaning.
    """

    def coerce(self, obj: Any, attr: str, value: Any) -> Match:
        if not isinstance(value, list) or not all(
            isinstance(term, dict) for term in value
        ):
            raise ValueError(f'{attr}: {value!r} is not a list of objects')
        return [
            {
                str(key): [_text(attr, key, item) for item in condition]
                if isinstance(condition, list)
                else _text(attr, key, condition)
                for key, condition in term.items()
            }
            for term in value
        ]


class _Plain(fields.FieldType[Any]):
    """Lists and mappings, passed on without checks of their items.

    With ten thousand items, checks would take longer than the rest of a call.
    """

    def coerce(self, obj: Any, attr: str, value: Any) -> Any:
        if not isinstance(value, list | dict):
            raise ValueError(f'{attr}: {value!r} is no list and no mapping')
        return value


def _text(attr: str, key: Any, value: Any) -> str:
    """Return a value as a string; a NUMA node may be a number."""
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise ValueError(
        f'{attr}: {key}: {value!r} is neither a string nor a list of strings'
    )


class DeviceAddressField(fields.AutoTypedField[str]):
    """An address within a host; see ``ResourceType`` for its form."""

    AUTO_TYPE = _DeviceAddress()


class ListOfDeviceAddressesField(fields.AutoTypedField[list[str]]):
    """A list of addresses of devices."""

    AUTO_TYPE = fields.List(_DeviceAddress())


class HexIdField(fields.AutoTypedField[str]):
    """Vendor, device or subsystem id: four hexadecimal digits."""

    AUTO_TYPE = _HexId()


class PciClassField(fields.AutoTypedField[str]):
    """Class, subclass and programming interface: six hexadecimal digits."""

    AUTO_TYPE = _PciClass()


class MatchExpressionField(fields.AutoTypedField[Match]):
    """A PCI flavor's match expression."""

    AUTO_TYPE = _MatchExpression()


class PlainField(fields.AutoTypedField[Any]):
    """Lists and mappings of JSON values, nested to any depth."""

    AUTO_TYPE = _Plain()
