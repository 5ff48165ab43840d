# SPDX-License-Identifier: Apache-2.0
"""Decides which functions the host uses for its network. Pure."""

from collections.abc import Iterator
from collections.abc import Mapping
import ipaddress

from pci_passthrough.discovery import host_facts
from pci_passthrough.discovery import use

_DEFAULT = 'default'
_LOOPBACK = 'lo'
#: Kinds of routes by which packets leave or reach the host.
_USED_KINDS = ('unicast', 'local')

_Interface = ipaddress.IPv4Interface | ipaddress.IPv6Interface
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def uses(facts: host_facts.HostFacts) -> Iterator[use.Use]:
    """Yield the uses of network cards."""
    carries = _addressed_interfaces(facts.network)
    for storage in (*facts.remote_storage, *_network_mounts(facts.mountinfo)):
        interfaces = interfaces_towards(facts.network, storage.server)
        if not interfaces:
            yield use.Use(
                facts.of_subject(host_facts.Subject.NETWORK),
                f'no route leads to {storage.server}, the server of '
                f'{storage.name}',
                use.Certainty.UNKNOWN,
            )
        for name in interfaces:
            carries.setdefault(
                name, f'carries the route to the server of {storage.name}'
            )
    carries.pop(_LOOPBACK, None)
    for interface in facts.interfaces.values():
        reason = _interface_use(facts.interfaces, carries, interface.name)
        if interface.functions and reason is not None:
            yield use.Use(
                interface.functions,
                f'its network interface {interface.name} {reason}',
            )
    for name in sorted(carries.keys() - facts.interfaces.keys()):
        yield use.Use(
            facts.of_subject(host_facts.Subject.NETWORK),
            f'network interface {name} {carries[name]}, but sysfs does not '
            'show it',
            use.Certainty.UNKNOWN,
        )


def _interface_use(
    interfaces: Mapping[str, host_facts.Interface],
    carries: Mapping[str, str],
    name: str,
) -> str | None:
    """Return the use of an interface as a phrase, None if it is not used."""
    if name in carries:
        return carries[name]
    interface = interfaces.get(name)
    if interface is None:
        return None
    if interface.master is not None:
        return f'belongs to {interface.master}'
    for upper in interface.upper:
        kind = interfaces[upper].kind if upper in interfaces else ''
        if kind != 'vlan':
            # Unlike a VLAN without address, others carry traffic in any
            # case: a macvtap that of a guest.
            return f'carries {upper}'
        reason = _interface_use(interfaces, carries, upper)
        if reason is not None:
            return f'carries {upper}, which {reason}'
    return None


def _addressed_interfaces(network: host_facts.Network) -> dict[str, str]:
    """Return a phrase with its address or route for each interface."""
    carries: dict[str, str] = {}
    routes = [
        route
        for route in network.routes
        if route.kind in _USED_KINDS and not _is_local_to_link(route)
    ]
    for route in routes:
        if route.destination == _DEFAULT:
            for name in route.interfaces:
                carries.setdefault(name, 'carries the default route')
    for address in network.addresses:
        if not ipaddress.ip_interface(address.address).is_link_local:
            carries.setdefault(
                address.interface,
                f'carries the address {address.address.partition("/")[0]}',
            )
    for route in routes:
        for name in route.interfaces:
            carries.setdefault(
                name, f'carries the route to {route.destination}'
            )
    for name in network.next_hops:
        carries.setdefault(name, 'carries a next hop of routes')
    return carries


def _is_local_to_link(route: host_facts.Route) -> bool:
    """Return whether every interface has such a route, without use."""
    if route.destination == _DEFAULT:
        return False
    network = _network(route)
    return network.is_link_local or network.is_multicast


def _network(route: host_facts.Route) -> _Network:
    return ipaddress.ip_network(route.destination, strict=False)


def interfaces_towards(
    network: host_facts.Network, server: str
) -> tuple[str, ...]:
    """Return the interfaces of the routes to a server, of all tables.

    The longest prefix of all tables counts. If a next-hop object hides the
    interface of each route, the interfaces of all next-hop objects count.

    :param server: an IPv4 or IPv6 address, possibly with a zone
        (``fe80::1%eth0``). No interface leads to any other text.
    """
    host, _, zone = server.partition('%')
    if zone:
        return (zone,)
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return ()
    longest = -1
    interfaces: set[str] = set()
    for route in network.routes:
        if route.kind not in _USED_KINDS:
            continue
        length = 0
        if route.destination != _DEFAULT:
            target = _network(route)
            if address not in target:
                continue
            length = target.prefixlen
        if length > longest:
            longest, interfaces = length, set()
        if length == longest:
            interfaces.update(route.interfaces)
    return tuple(sorted(interfaces)) or network.next_hops


def _network_mounts(mountinfo: str) -> Iterator[host_facts.RemoteStorage]:
    """Yield the servers of mounted network file systems.

    NFS and SMB show the server's address among the options of the file
    system, as ``addr=192.0.2.1``.
    """
    for line in mountinfo.splitlines():
        mount, _, super_block = line.partition(' - ')
        words, source = mount.split(), super_block.split()
        if len(words) < 5 or len(source) < 3:
            continue
        for option in source[2].split(','):
            name, _, server = option.partition('=')
            if name == 'addr' and server:
                yield host_facts.RemoteStorage(
                    f'{source[0]} at {words[4]}', server
                )
