# SPDX-License-Identifier: Apache-2.0
"""Finds entries of pci_information that apply to no device of a host. Pure.

A mistyped entry is valid and offers nothing. Its nearest miss shows the
mistake: the device that fails the fewest conditions, and the values that it
has instead. ``matching.near_misses`` does the same for PCI flavors.
"""

from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import difflib
import functools
import json

from pci_passthrough.objects import device as device_obj
from pci_passthrough.objects import fields
from pci_passthrough.specs import condition as condition_spec
from pci_passthrough.specs import pci_class
from pci_passthrough.specs import pci_information as pci_information_module

_PCI = fields.ResourceType.PCI


@dataclasses.dataclass(frozen=True, slots=True)
class IdleEntry:
    """An entry that applies to no device, and why."""

    entry: pci_information_module.Entry
    #: text for people
    reason: str

    def __str__(self) -> str:
        return (
            f'entry {self.entry.index} applies to no device: {self.reason}: '
            f'{self.entry.text}'
        )


def find(
    devices: Sequence[device_obj.PciDevice],
    pci_information: pci_information_module.PciInformation,
) -> tuple[IdleEntry, ...]:
    """Return the entries that decide about no device of a host.

    :param devices: all devices of the host.
    """
    devnames = {device.address: device.devname for device in devices}
    parents = {
        device.address: devnames.get(device.parent_addr or '')
        for device in devices
    }
    deciding = {
        device.address: entry.index
        for device in devices
        if (entry := pci_information.find(device, parents[device.address]))
    }
    return tuple(
        IdleEntry(entry, _reason(entry, devices, parents, deciding))
        for entry in pci_information.entries
        if entry.index not in deciding.values()
    )


def news(
    before: Collection[IdleEntry], now: Iterable[IdleEntry]
) -> list[IdleEntry]:
    """Return the idle entries that are new, or idle for another reason.

    :param before: the result of ``find`` for the scan before.
    """
    return [idle for idle in now if idle not in before]


def _reason(
    entry: pci_information_module.Entry,
    devices: Sequence[device_obj.PciDevice],
    parents: Mapping[str, str | None],
    deciding: Mapping[str, int],
) -> str:
    """Return why an entry decides about no device.

    :param parents: address to the interface of the physical function.
    :param deciding: address to the index of the entry that decides.
    """
    misses = [
        (device, tuple(entry.unmet(device, parents[device.address])))
        for device in devices
        if device.get('resource_type', _PCI) == entry.resource_type
    ]
    if not misses:
        if entry.resource_type == _PCI:
            return 'the host has no PCI devices'
        return f'the host has no devices of type {entry.resource_type}'
    fewest = min(len(unmet) for _, unmet in misses)
    nearest = [miss for miss in misses if len(miss[1]) == fewest]
    if not fewest:
        earlier = sorted({deciding[device.address] for device, _ in nearest})
        return (
            f'its devices ({len(nearest)}) are matched first by entry '
            + ' or '.join(map(str, earlier))
        )
    device, unmet = min(
        nearest, key=lambda miss: (-_similarity(*miss), str(miss[0].address))
    )
    words = ', '.join(_in_words(condition, device) for condition in unmet)
    return f'nearest is {device.address}, with {words}'


def _similarity(
    device: device_obj.PciDevice, unmet: Sequence[condition_spec.Condition]
) -> float:
    """Return how similar a device's values are to the wanted ones."""
    return sum(
        max(
            _ratio(condition.key, wanted, condition.value_of(device))
            for wanted in _wanted(condition)
        )
        for condition in unmet
    )


@functools.lru_cache(maxsize=4096)
def _ratio(key: str, wanted: str, actual: str | None) -> float:
    """Return a number from 0 to 1, or -1 if there is no value."""
    if actual is None:
        return -1
    if key != 'class':
        return difflib.SequenceMatcher(None, wanted, actual).ratio()
    # A class code consists of bytes, and a name of one stands for its code.
    code = pci_class.BASE_CLASSES.get(wanted.strip().lower(), wanted)
    return difflib.SequenceMatcher(None, _bytes(code), _bytes(actual)).ratio()


def _bytes(code: str) -> list[str]:
    digits = code.lower().removeprefix('0x')
    return [digits[place : place + 2] for place in range(0, len(digits), 2)]


def _wanted(condition: condition_spec.Condition) -> Iterator[str]:
    """Yield the values of a condition as the operator wrote them."""
    value = json.loads(condition.text)
    for item in value if isinstance(value, list) else [value]:
        # The expressions for parts of an address resemble no address.
        yield str(item.get('regex', '') if isinstance(item, dict) else item)


def _in_words(
    condition: condition_spec.Condition, device: device_obj.PciDevice
) -> str:
    actual = condition.value_of(device)
    have = (
        f'no {condition.key}'
        if actual is None
        else (f'{condition.key} {actual}')
    )
    text = f'{have} instead of {condition.text}'
    if condition.key == 'class':
        meanings = map(pci_class.explain, _wanted(condition))
        known = [meaning for meaning in meanings if meaning is not None]
        if known:
            text += f' ({"; ".join(known)})'
    return text
