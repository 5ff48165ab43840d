# SPDX-License-Identifier: Apache-2.0
"""The match keys: device properties that a match can have a condition on.

``KEYS`` lists all match keys of pci_information. PCI flavors can use those
that are properties of pools, see ``pci_flavor.KEYS``.
"""

from collections.abc import Callable
import dataclasses
import difflib

from pci_passthrough.objects import fields
from pci_passthrough.specs import address
from pci_passthrough.specs import pattern
from pci_passthrough.specs import pci_class


@dataclasses.dataclass(frozen=True, slots=True)
class MatchKey:
    """The syntax of one match key's values."""

    #: parses one string value; raises ValueError
    parse: Callable[[str], pattern.Pattern]
    #: a valid value, as JSON
    example: str
    #: whether a value may be ``{"regex": …}``
    regex: bool = True
    #: whether a regular expression ignores case, as hexadecimal digits do
    ignore_case: bool = True
    #: whether a value may be a JSON number: it is decimal
    is_decimal: bool = False


def _parse_id(text: str) -> pattern.Pattern:
    return pattern.compile_glob(
        pattern.normalize_hex('the id', text, 4, 0xFFFF)
    )


def _parse_dev_type(text: str) -> pattern.Pattern:
    if text not in fields.DevType.ALL:
        known = ', '.join(fields.DevType.ALL)
        raise ValueError(f'{text!r} is none of {known}')
    return pattern.Exact(text)


def _parse_vgpu_type(text: str) -> pattern.Pattern:
    try:
        pattern.collapse_sets(text, '0-9')
    except ValueError as error:
        raise ValueError(
            f'{text!r} is not the number of a vGPU type'
        ) from error
    return pattern.compile_glob(text)


def _parse_numa_node(text: str) -> pattern.Pattern:
    try:
        collapsed = pattern.collapse_sets(text, '0-9')
    except ValueError as error:
        raise ValueError(
            f'{text!r} is not the number of a NUMA node'
        ) from error
    return pattern.compile_glob(
        str(int(text)) if collapsed.isdigit() else text
    )


def _parse_resource_type(text: str) -> pattern.Pattern:
    if not fields.ResourceType.NAME.fullmatch(text):
        raise ValueError(
            f'{text!r} is not the name of a resource type, such as pci, mdev '
            'or usb'
        )
    return pattern.Exact(text)


def _parse_serial_number(text: str) -> pattern.Pattern:
    return pattern.compile_glob(text.strip())


def _parse_port(text: str) -> pattern.Pattern:
    try:
        pattern.collapse_sets(text, r'0-9.\-')
    except ValueError as error:
        raise ValueError(
            f'{text!r} is not the bus and port of a USB device'
        ) from error
    return pattern.compile_glob(text)


def _parse_name(text: str) -> pattern.Pattern:
    pattern.collapse_sets(text, r'A-Za-z0-9_.:@+\-')
    return pattern.compile_glob(text)


_ID = MatchKey(_parse_id, '"8086"')

#: Match key to the syntax of its values, in the order of help texts.
KEYS = {
    'vendor_id': _ID,
    'product_id': MatchKey(_parse_id, '"10c[ab]"'),
    'subsystem_vendor_id': _ID,
    'subsystem_id': MatchKey(_parse_id, '["0001", "0002"]'),
    'class': MatchKey(pci_class.parse, '"network"'),
    'address': MatchKey(address.parse, '"0000:65:00.*"'),
    'dev_type': MatchKey(_parse_dev_type, '"type-VF"', regex=False),
    'driver': MatchKey(_parse_name, '"vfio*"', ignore_case=False),
    'numa_node': MatchKey(_parse_numa_node, '0', is_decimal=True),
    'parent_addr': MatchKey(address.parse, '"0000:65:00.0"'),
    'devname': MatchKey(_parse_name, '"eth0"', ignore_case=False),
    'vgpu_type': MatchKey(_parse_vgpu_type, '"558"', is_decimal=True),
    'resource_type': MatchKey(_parse_resource_type, '"usb"', regex=False),
    'serial_number': MatchKey(_parse_serial_number, '"00A1*"'),
    'port': MatchKey(_parse_port, '"1-2.*"'),
}

#: Match keys whose values are PCI addresses.
ADDRESS_KEYS = frozenset({'address', 'parent_addr'})

#: Match key to the device field of another name: ``class`` is reserved in
#: Python, and the address of a USB device is its port.
FIELDS = {'class': 'pci_class', 'port': 'address'}

#: Common words for a match key that are not similar to the key itself.
_ALIASES = {
    'device': 'product_id',
    'device_id': 'product_id',
    'deviceid': 'product_id',
    'dev_id': 'product_id',
    'subsystem_device_id': 'subsystem_id',
    'subsystem_product_id': 'subsystem_id',
    'bdf': 'address',
    'interface': 'devname',
    'ifname': 'devname',
    'pf': 'parent_addr',
    'numa': 'numa_node',
    'type': 'dev_type',
    'current_vgpu_type': 'vgpu_type',
    'serial': 'serial_number',
    'sn': 'serial_number',
    'kind': 'resource_type',
}

#: Words that are similar to a match key by chance.
_OTHER_WORDS = frozenset({'name', 'gpu_type'})


def nearest(word: str) -> str | None:
    """Return the match key that a misspelled word probably means, or None."""
    folded = word.lower().replace('-', '_')
    if folded in KEYS:
        return folded
    if folded in _OTHER_WORDS:
        return None
    near = difflib.get_close_matches(folded, KEYS, n=1, cutoff=0.7)
    return near[0] if near else _ALIASES.get(folded)
