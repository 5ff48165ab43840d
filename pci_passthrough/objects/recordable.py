# SPDX-License-Identifier: Apache-2.0
"""The limits of what can be recorded of a device. Pure.

The agent, its dry run and the conductor all use these limits, and so do the
columns of the database. A fact that only describes a device is dropped if it
does not fit; a device of which a fact does not fit that requests can match is
left out.
"""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
from typing import Any
from typing import Final

from pci_passthrough.objects import device as device_obj
from pci_passthrough.objects import fields

#: Characters of texts. Linux limits the name of an interface to 15.
LONGEST: Final[Mapping[str, int]] = {
    'driver': 64,
    'vgpu_type': 16,
    'devname': 64,
    'mac_address': 32,
    'serial_number': 128,
    'refusal': 2000,
    'offered_by': 4096,
    'on_failure': 16,
    'resource_type': 32,
}

#: Facts that pool keys have: a device cannot be recorded without them.
_MATCHED = ('driver', 'numa_node', 'vgpu_type', 'resource_type')

#: What each PCI function has, and other devices may lack.
_OF_PCI_FUNCTIONS = ('vendor_id', 'product_id', 'pci_class', 'dev_type')

#: Names of handlers: how many, and characters of each.
_MOST_HANDLERS = 16
_LONGEST_HANDLER = 64

#: Characters of what handlers, libvirt and operators have to say about a
#: device.
LONGEST_OUTPUT: Final = 2000

#: Texts that are cut instead of dropped.
_CUT = ('refusal', 'offered_by')

#: Numbers of more than 31 bits do not fit into an INTEGER column.
_NUMBERS = ('numa_node', 'iommu_group', 'link_speed', 'total_vfs')
_LARGEST_NUMBER = 2**31 - 1

#: Offload features of a NIC: how many, and characters of each.
_MOST_CAPABILITIES = 256
_LONGEST_CAPABILITY = 64

#: Characters of the key and of the value of a tag.
_LONGEST_TAG = 255
_MOST_TAGS = 64


@dataclasses.dataclass(frozen=True, slots=True)
class Fitting:
    """A device as it can be recorded.

    :ivar device: the device without the facts that do not fit.
    :ivar dropped: why facts were dropped, in words, by the fact's name.
    :ivar obstacle: why the device cannot be recorded; None if it can.
    """

    device: device_obj.PciDevice
    dropped: Mapping[str, str]
    obstacle: str | None


def fit(device: device_obj.PciDevice) -> Fitting:
    """Return a device without the facts that cannot be recorded.

    :param device: ``REPORTED_FIELDS`` are set, as far as the agent knows
        them.
    """
    dropped: dict[str, str] = {}
    changes: dict[str, Any] = {}
    obstacle = (
        _type_obstacle(device)
        or _tags_obstacle(device.extra_info)
        or _handlers_obstacle(device.get('handlers', ()))
    )
    for name in (*LONGEST, *_NUMBERS):
        value = device.get(name)
        if value is None:
            continue
        if name in _CUT:
            changes[name] = cut(value, LONGEST[name])
            continue
        reason = _misfit(name, value)
        if reason is None:
            continue
        if name in _MATCHED:
            obstacle = obstacle or f'its {name} {reason}'
        else:
            dropped[name] = reason
            changes[name] = None
    capabilities = [c for c in device.capabilities if _is_capability(c)]
    if capabilities[_MOST_CAPABILITIES:] or len(capabilities) != len(
        device.capabilities
    ):
        dropped['capabilities'] = (
            f'some are not texts of up to {_LONGEST_CAPABILITY} printable '
            f'characters, or they are more than {_MOST_CAPABILITIES}'
        )
        changes['capabilities'] = capabilities[:_MOST_CAPABILITIES]
    return Fitting(device.replace(**changes), dropped, obstacle)


def is_line(text: str, longest: int) -> bool:
    """Whether a text is one line of printable characters, and not too long."""
    return len(text) <= longest and text.isprintable()


def cut(text: str, longest: int) -> str:
    """Return a text in one line, shortened to a number of characters."""
    line = ''.join(
        c if c.isprintable() else '\N{REPLACEMENT CHARACTER}' for c in text
    )
    return line if len(line) <= longest else f'{line[: longest - 3]}...'


def _misfit(name: str, value: Any) -> str | None:
    """Return why a fact does not fit, in words; None if it fits."""
    if name in _NUMBERS:
        if 0 <= value <= _LARGEST_NUMBER:
            return None
        return f'{value} is not between 0 and {_LARGEST_NUMBER}'
    longest = LONGEST[name]
    if is_line(value, longest):
        return None
    return (
        f'{cut(ascii(value), 80)} is not one line of up to {longest} '
        'printable characters'
    )


def _is_capability(text: str) -> bool:
    return is_line(text, _LONGEST_CAPABILITY)


def _type_obstacle(device: device_obj.PciDevice) -> str | None:
    """Return why a device is not what its ``resource_type`` says."""
    resource_type = device.get('resource_type', fields.ResourceType.PCI)
    if resource_type != fields.ResourceType.PCI:
        if fields.ResourceType.NAME.fullmatch(resource_type):
            return None
        return f'{cut(ascii(resource_type), 80)} is not a resource type'
    if not fields.is_pci_address(device.address):
        return f'{device.address} is not the address of a PCI function'
    missing = [n for n in _OF_PCI_FUNCTIONS if device.get(n) is None]
    return f'it has no {missing[0]}' if missing else None


def _tags_obstacle(tags: Mapping[str, str]) -> str | None:
    if len(tags) > _MOST_TAGS:
        return f'it has {len(tags)} tags, more than {_MOST_TAGS}'
    for text in (*tags.keys(), *tags.values()):
        if not is_line(text, _LONGEST_TAG):
            return (
                f'{cut(ascii(text), 80)} of its extra_info is not one line '
                f'of up to {_LONGEST_TAG} printable characters'
            )
    return None


def _handlers_obstacle(names: Sequence[str]) -> str | None:
    """Return why a device cannot be recorded: nobody would clean it."""
    if len(names) <= _MOST_HANDLERS and all(
        name and is_line(name, _LONGEST_HANDLER) for name in names
    ):
        return None
    return (
        f'its handlers are not up to {_MOST_HANDLERS} names of up to '
        f'{_LONGEST_HANDLER} printable characters'
    )


def output_line(output: str) -> str:
    """Return the end of what a program has said, as one line."""
    lines = output.expandtabs().splitlines()
    lines = [cut(line, len(line)).strip() for line in lines]
    line = ' | '.join(filter(None, lines))
    if len(line) <= LONGEST_OUTPUT:
        return line
    return f'...{line[3 - LONGEST_OUTPUT :]}'
