# SPDX-License-Identifier: Apache-2.0
"""Reads a host's network interfaces from sysfs.

The files are described in the kernel's
Documentation/ABI/testing/sysfs-class-net.
"""

import functools
import os

from pci_passthrough.discovery import chroot_files
from pci_passthrough.discovery import host_facts
from pci_passthrough.discovery import read_errors

_INTERFACES = 'sys/class/net'
_UPPER = 'upper_'
_DEVICE_TYPE = 'DEVTYPE='


def interfaces(
    files: chroot_files.ChrootFiles, errors: read_errors.ReadErrors
) -> dict[str, host_facts.Interface]:
    """Return the interfaces by name; ``errors`` gets the unreadable ones."""
    network = host_facts.Subject.NETWORK
    result = {}
    for name in errors.names(network, _INTERFACES):
        interface = errors.read_object(
            network,
            f'{_INTERFACES}/{name}',
            functools.partial(_interface, files, name),
        )
        if interface is not None:
            result[name] = interface
    return result


def _interface(
    files: chroot_files.ChrootFiles, name: str, folder: str
) -> host_facts.Interface | None:
    if folder == f'{_INTERFACES}/{name}':
        # bonding_masters is a file in the same folder.
        return None
    entries = files.entries(folder)
    master = None
    if 'master' in entries:
        master = os.path.basename(files.link(f'{folder}/master'))
    uevent = files.read_if_exists(f'{folder}/uevent') or ''
    return host_facts.Interface(
        name=name,
        functions=host_facts.functions_in(folder),
        master=master,
        upper=tuple(
            entry.removeprefix(_UPPER)
            for entry in entries
            if entry.startswith(_UPPER)
        ),
        kind=_device_type(uevent),
    )


def _device_type(uevent: str) -> str:
    for line in uevent.splitlines():
        if line.startswith(_DEVICE_TYPE):
            return line.removeprefix(_DEVICE_TYPE)
    return ''
