# SPDX-License-Identifier: Apache-2.0
"""Stands in for QEMU inside a simulated host.

The host's devices are folders of a made-up ``/sys``, so no VFIO can hand
them to a guest. Each ``vfio-pci`` device of the command line becomes a
harmless one, with the same id at the same place of the guest's bus, and a
macvtap interface does without vhost; all else is up to the real QEMU.
libvirt notices nothing of it.

Run by path: it can rely on nothing but the standard library.
"""

import json
import os
import sys

#: Where the real program is, below whose path it looks for its files.
REAL = '/usr/bin/qemu-real'

_STAND_IN = 'virtio-rng-pci'
_KEPT = ('id', 'bus', 'addr', 'multifunction')


def replaced(word: str) -> str:
    """Return an argument without VFIO and vhost in it."""
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
