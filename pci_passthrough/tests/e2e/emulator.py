# SPDX-License-Identifier: Apache-2.0
"""Replaces QEMU inside a simulated host.

The host's devices are folders of a simulated ``/sys``, so that VFIO cannot
assign them to a guest. Each ``vfio-pci`` device of the command line is
replaced by an emulated device with the same id and the same address in the
guest, and a macvtap interface does not use vhost. Then the real QEMU is
executed. libvirt does not notice the replacement.

Run by path, so that only the standard library is available.
"""

import json
import os
import sys

#: The real program. It finds its files relative to this path.
REAL = '/usr/bin/qemu-real'

_STAND_IN = 'virtio-rng-pci'
_KEPT = ('id', 'bus', 'addr', 'multifunction')


def replaced(word: str) -> str:
    """Return an argument with VFIO and vhost replaced."""
    if not word.startswith('{'):
        return word
    words = json.loads(word)
    if words.get('driver') == 'vfio-pci':
        kept = {name: words[name] for name in _KEPT if name in words}
        return json.dumps({'driver': _STAND_IN, **kept})
    if words.get('type') == 'tap':
        return json.dumps(
            {n: v for n, v in words.items() if not n.startswith('vhost')}
        )
    return word


if __name__ == '__main__':
    os.execv(REAL, ['qemu-system-x86_64', *map(replaced, sys.argv[1:])])  # noqa: S606
