# SPDX-License-Identifier: Apache-2.0
"""Reads a host's network interfaces and what they carry.

The files of sysfs are described in the kernel's
Documentation/ABI/testing/sysfs-class-net.
"""

import errno
import functools
import json
import os

from pci_passthrough import chroot_files
from pci_passthrough.discovery import host_facts
from pci_passthrough.discovery import netlink
from pci_passthrough.discovery import read_errors

_INTERFACES = 'sys/class/net'
_UPPER = 'upper_'


def interfaces_and_network(
    files: chroot_files.ChrootFiles, errors: read_errors.ReadErrors
) -> tuple[dict[str, host_facts.Interface], host_facts.Network]:
    """Return the interfaces by name, and what they carry.

    The addresses are read before the interfaces, and the names of their
    interfaces after. So an interface that disappears meanwhile has no name,
    and one that appears meanwhile has no address: neither is a contradiction
    between rtnetlink and sysfs.
    """
    network = host_facts.Subject.NETWORK
    namespace = netlink.namespace_of(files.root)
    if namespace is None:
        return interfaces(files, errors), errors.read(
            network,
            functools.partial(_recorded_network, files),
            host_facts.Network(),
        )
    indexed = errors.read(
        network,
        functools.partial(netlink.read_indexed, namespace),
        netlink.Indexed(),
    )
    result = interfaces(files, errors)
    if indexed == netlink.Indexed():
        return result, host_facts.Network()
    names = errors.read(
        network,
        functools.partial(netlink.interface_names, namespace),
        dict[int, str](),
    )
    return result, indexed.named(names)


def _recorded_network(files: chroot_files.ChrootFiles) -> host_facts.Network:
    text = files.read_if_exists(host_facts.RECORDED_NETWORK)
    if text is None:
        raise FileNotFoundError(
            f'below {files.root} there is neither proc/1/ns/net nor '
            f'{host_facts.RECORDED_NETWORK}'
        )
    content = json.loads(text)
    try:
        return host_facts.Network(
            addresses=tuple(
                host_facts.Address(**item) for item in content['addresses']
            ),
            routes=tuple(
                host_facts.Route(
                    **{**item, 'interfaces': tuple(item['interfaces'])}
                )
                for item in content['routes']
            ),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(
            f'{host_facts.RECORDED_NETWORK}: {error!r}'
        ) from error


def interfaces(
    files: chroot_files.ChrootFiles, errors: read_errors.ReadErrors
) -> dict[str, host_facts.Interface]:
    """Return the interfaces by name; ``errors`` gets the unreadable ones."""
    return errors.read_objects(
        host_facts.Subject.NETWORK,
        _INTERFACES,
        functools.partial(_interface, files),
    )


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
    functions = host_facts.devices_in(folder)
    return host_facts.Interface(
        name=name,
        functions=functions,
        master=master,
        upper=tuple(
            entry.removeprefix(_UPPER)
            for entry in entries
            if entry.startswith(_UPPER)
        ),
        kind=chroot_files.value_in(uevent, 'DEVTYPE=') or '',
        index=int(files.read_if_exists(f'{folder}/ifindex') or 0),
        is_direct=bool(functions)
        and folder.endswith(f'/{functions[-1]}/net/{name}'),
        port_name=_port_property(files, f'{folder}/phys_port_name'),
        switch_id=_port_property(files, f'{folder}/phys_switch_id'),
    )


def _port_property(files: chroot_files.ChrootFiles, path: str) -> str | None:
    """Return a property of a port of a switch, None for another interface."""
    try:
        text = files.read_if_exists(path)
    except OSError as error:
        # The driver does not support it (Documentation/networking/switchdev).
        if error.errno != errno.EOPNOTSUPP:
            raise
        return None
    return text.strip() or None if text else None
