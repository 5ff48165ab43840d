# SPDX-License-Identifier: Apache-2.0
"""Reads the serial number out of a PCI function's vital product data. Pure.

PCI Local Bus Specification 2.2, appendix I: resources, each with a tag and a
length; that of the tag 0x90 (VPD-R) has fields with a keyword of two letters
and a length of one byte.
"""

from collections.abc import Iterator

#: Bytes that are read at most. The address space has 15 bits, but what the
#: serial number is in comes first, and each byte takes long.
MOST_BYTES = 4096

#: Texts that manufacturers write if there is no number, in lower case.
PLACEHOLDERS = frozenset(
    {
        'default string',
        'n/a',
        'none',
        'not applicable',
        'not available',
        'not specified',
        'null',
        'serial number',
        'system serial number',
        'to be filled by o.e.m.',
        'to be filled by oem',
        'unknown',
    }
)

_END = 0x78
_LARGE = 0x80
_READ_ONLY = 0x90
_SERIAL = b'SN'
#: The first byte of its value makes the sum of all bytes until then 0.
_CHECKSUM = b'RV'


def serial_number(data: bytes) -> str | None:
    """Return the serial number; None if there is none, or no valid one.

    :param data: the vital product data from its beginning; it may be cut.
    """
    serial = None
    for start, end in _read_only_resources(data):
        for keyword, first, last in _fields(data, start, end):
            if keyword == _SERIAL:
                serial = data[first:last]
            elif keyword == _CHECKSUM:
                if last > first and sum(data[: first + 1]) % 256:
                    return None
    if serial is None:
        return None
    return usable(serial.decode('ascii', errors='replace'))


def usable(text: str) -> str | None:
    """Return a serial number without blanks; None if it says nothing.

    Boards whose number was never written have one character all over, or
    one of ``PLACEHOLDERS``.
    """
    text = text.strip(' \0\t\n')
    if len({*text} - {*' :.-'}) < 2 or text.lower() in PLACEHOLDERS:
        return None
    return text if text.isascii() and text.isprintable() else None


def _read_only_resources(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield where the content of each VPD-R begins and ends."""
    position = 0
    while position < len(data):
        tag = data[position]
        if tag == _END:
            return
        if tag & _LARGE:
            length = int.from_bytes(
                data[position + 1 : position + 3], 'little'
            )
            start = position + 3
        else:
            length, start = tag & 7, position + 1
        if start + length > len(data):
            return
        if tag == _READ_ONLY:
            yield start, start + length
        position = start + length


def _fields(
    data: bytes, start: int, end: int
) -> Iterator[tuple[bytes, int, int]]:
    """Yield the keyword of each field, and where its value begins and ends."""
    position = start
    while position + 3 <= end:
        first = position + 3
        last = first + data[position + 2]
        if last > end:
            return
        yield data[position : position + 2], first, last
        position = last
