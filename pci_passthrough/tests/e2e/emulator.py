# SPDX-License-Identifier: Apache-2.0
"""Replaces QEMU inside a simulated host.

The host's devices are folders of a simulated ``/sys``, so that VFIO cannot
assign them to a guest. Each ``vfio-pci`` device of the command line is
replaced by an emulated device with the same id and the same address in the
guest, mediated devices, too; so is each USB device of the host, by a mouse. A
macvtap interface does not use vhost. Then the real QEMU is
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

#: QEMU's driver to the one that stands in for it, and what it keeps.
_STAND_INS = {
    'vfio-pci': ('virtio-rng-pci', ('id', 'bus', 'addr', 'multifunction')),
    'usb-host': ('usb-mouse', ('id', 'bus', 'port')),
}


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
    if words.get('driver') in _STAND_INS:
        if words.get('host') in kept:
            return word
        driver, names = _STAND_INS[words['driver']]
        same = {name: words[name] for name in names if name in words}
        return json.dumps({'driver': driver, **same})
    if words.get('type') == 'tap':
        return json.dumps(
            {n: v for n, v in words.items() if not n.startswith('vhost')}
        )
    return word


if __name__ == '__main__':
    words = [replaced(word, broken()) for word in sys.argv[1:]]
    os.execv(REAL, ['qemu-system-x86_64', *words])  # noqa: S606
