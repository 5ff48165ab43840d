# SPDX-License-Identifier: Apache-2.0

"""Sends device events to libudev in udev's multicast format.

The wire format is that of systemd's ``sd-device/device-monitor.c``: a header
with a filter hash of the subsystem, then ``KEY=value`` strings.
"""

from __future__ import annotations

import collections.abc
import contextlib
import socket
import struct

_NETLINK_KOBJECT_UEVENT = 15
#: Multicast group 1 carries the kernel's events, group 2 those of udev.
_UDEV_GROUP = 2
_MAGIC = 0xFEEDCAFE
_HEADER_LENGTH = 40
_WORD = 0xFFFFFFFF


def murmur_hash2(data: bytes) -> int:
    """Return MurmurHash2 with seed 0, by which libudev filters events."""
    multiplier = 0x5BD1E995
    value = len(data)
    whole = len(data) // 4 * 4
    for (word,) in struct.iter_unpack('<I', data[:whole]):
        word = word * multiplier & _WORD
        word = (word ^ word >> 24) * multiplier & _WORD
        value = (value * multiplier & _WORD) ^ word
    if data[whole:]:
        value ^= int.from_bytes(data[whole:], 'little')
        value = value * multiplier & _WORD
    value = (value ^ value >> 13) * multiplier & _WORD
    return value ^ value >> 15


class UdevEvents:
    """Sends events to all listeners in the process's network namespace.

    libudev accepts events only from root of the same user namespace.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_KOBJECT_UEVENT
        )
        self._socket.bind((0, 0))
        self._sequence = 1000

    def send(
        self,
        action: str,
        path: str,
        subsystem: str,
        properties: collections.abc.Iterable[str] = (),
    ) -> None:
        """Announce ``action`` (add, remove, change, bind, unbind).

        ``path`` is relative to ``/sys``; ``properties`` are ``KEY=value``.
        """
        self._sequence += 1
        strings = [
            f'ACTION={action}',
            f'DEVPATH=/{path}',
            f'SUBSYSTEM={subsystem}',
            *properties,
            f'SEQNUM={self._sequence}',
            f'USEC_INITIALIZED={self._sequence * 1000}',
        ]
        body = b''.join(string.encode() + b'\0' for string in strings)
        header = struct.pack('>8sI', b'libudev', _MAGIC)
        header += struct.pack(
            '=III', _HEADER_LENGTH, _HEADER_LENGTH, len(body)
        )
        header += struct.pack(
            '>IIII', murmur_hash2(subsystem.encode()), 0, 0, 0
        )
        # Refused means that there is no listener, which is no error.
        with contextlib.suppress(ConnectionRefusedError):
            self._socket.sendto(header + body, (0, _UDEV_GROUP))
