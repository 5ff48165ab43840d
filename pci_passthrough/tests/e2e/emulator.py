# SPDX-License-Identifier: Apache-2.0
"""Replaces QEMU inside a simulated host.

The host's devices are folders of a simulated ``/sys``, so that VFIO cannot
assign them to a guest. Each ``vfio-pci`` device of the command line is
replaced by an emulated device with the same id and the same address in the
guest, and a macvtap interface does not use vhost. Then the real QEMU is
executed. libvirt does not notice the replacement. A broken device is not
replaced: QEMU cannot open it, and says so.

Run by path, so that only the standard library is available.
"""

from collections.abc import Collection
import json
import os
import pathlib
import sys

#: The real program. It finds its files relative to this path.
REAL = '/usr/bin/qemu-real'

#: A file of the host with the addresses of broken devices.
BROKEN = '/etc/broken-devices'

_STAND_IN = 'virtio-rng-pci'
_KEPT = ('id', 'bus', 'addr', 'multifunction')


def broken() -> list[str]:
    """Return the addresses of the broken devices."""
    file = pathlib.Path(BROKEN)
    return file.read_text().split() if file.exists() else []


def replaced(word: str, kept: Collection[str]) -> str:
    """Return an argument with VFIO and vhost replaced.

    :param kept: addresses of devices that are not replaced.
    """
    if not word.startswith('{'):
        return word
    words = json.loads(word)
    if words.get('driver') == 'vfio-pci':
        if words['host'] in kept:
            return word
        same = {name: words[name] for name in _KEPT if name in words}
        return json.dumps({'driver': _STAND_IN, **same})
    if words.get('type') == 'tap':
        return json.dumps(
            {n: v for n, v in words.items() if not n.startswith('vhost')}
        )
    return word


if __name__ == '__main__':
    words = [replaced(word, broken()) for word in sys.argv[1:]]
    os.execv(REAL, ['qemu-system-x86_64', *words])  # noqa: S606
