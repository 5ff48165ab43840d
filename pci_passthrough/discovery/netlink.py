# SPDX-License-Identifier: Apache-2.0
"""Reads addresses and routes of a network namespace from rtnetlink(7).

Reading needs no privilege. Entering the namespace of another process needs
CAP_SYS_ADMIN, and CAP_SYS_PTRACE if the process has more capabilities than
this one, see setns(2) and ptrace(2).
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
import concurrent.futures
import ctypes
import dataclasses
import errno
import os
import re
import socket
import struct
import typing

import pyroute2
from pyroute2 import netlink

from pci_passthrough.discovery import host_facts

_CLONE_NEWNET = 0x40000000

#: linux/rtnetlink.h: types of routes (rtm_type), by the names of ip-route(8).
_ROUTE_KINDS = {
    1: 'unicast', 2: 'local', 3: 'broadcast', 4: 'anycast', 5: 'multicast',
    6: 'blackhole', 7: 'unreachable', 8: 'prohibit', 9: 'throw', 10: 'nat',
}  # fmt: skip
#: RTM_F_CLONED: an entry of the kernel's cache, no route.
_CLONED = 0x200
_RTM_GETNEXTHOP = 106
#: An interrupted dump is repeated: a table changed in the middle.
_ATTEMPTS = 5

_Result = typing.TypeVar('_Result')


class NextHop(netlink.nlmsg):  # type: ignore[misc]
    """A next-hop object (linux/nexthop.h), which pyroute2 does not know."""

    fields = (
        ('family', 'B'),
        ('scope', 'B'),
        ('protocol', 'B'),
        ('resvd', 'B'),
        ('flags', 'I'),
    )
    nla_map = (
        ('NHA_UNSPEC', 'none'),
        ('NHA_ID', 'uint32'),
        ('NHA_GROUP', 'hex'),
        ('NHA_GROUP_TYPE', 'uint16'),
        ('NHA_BLACKHOLE', 'flag'),
        ('NHA_OIF', 'uint32'),
    )


@dataclasses.dataclass(frozen=True, slots=True)
class Indexed:
    """Addresses and routes with indexes instead of names of interfaces."""

    #: (index, address/prefix)
    addresses: tuple[tuple[int, str], ...] = ()
    #: (kind, destination, indexes)
    routes: tuple[tuple[str, str, tuple[int, ...]], ...] = ()
    #: indexes of the interfaces of next-hop objects
    next_hops: tuple[int, ...] = ()

    def named(self, names: Mapping[int, str]) -> host_facts.Network:
        """Return the facts; an interface without a name has disappeared."""
        return host_facts.Network(
            addresses=tuple(
                host_facts.Address(names[index], address)
                for index, address in self.addresses
                if index in names
            ),
            routes=tuple(
                host_facts.Route(destination, interfaces, kind)
                for kind, destination, indexes in self.routes
                if (interfaces := _names(indexes, names))
            ),
            next_hops=_names(self.next_hops, names),
        )


def read_indexed(namespace: str) -> Indexed:
    """Return all addresses, and the routes of all tables.

    :param namespace: path of a network namespace, ``/proc/PID/ns/net``.
    :raises OSError: the namespace cannot be entered or read.
    """
    return _in_namespace(namespace, _read_indexed)


def interface_names(namespace: str) -> dict[int, str]:
    """Return the names of the interfaces by index.

    :raises OSError: the namespace cannot be entered or read.
    """
    return _in_namespace(namespace, _interface_names)


def namespace_of(root: str) -> str | None:
    """Return the network namespace of the host with a root directory.

    :param root: ``/``, which means the namespace of this process;
        ``/proc/PID/root``, the namespace of that process; or a directory with
        a mounted procfs, the namespace of that procfs' process 1.
    :returns: a path, None for a directory without a procfs.
    """
    root = os.path.normpath(root)
    if root == '/':
        return '/proc/self/ns/net'
    process = re.fullmatch(r'(/proc/(?:\d+|self))/root', root, re.ASCII)
    if process is not None:
        return f'{process[1]}/ns/net'
    path = os.path.join(root, 'proc/1/ns/net')
    return path if os.path.lexists(path) else None


def _in_namespace(namespace: str, read: Callable[[], _Result]) -> _Result:
    def enter_and_read() -> _Result:
        _enter(namespace)
        return read()

    # Only the new thread changes its namespace, and it ends.
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        return pool.submit(enter_and_read).result()


def _enter(namespace: str) -> None:
    """Move this thread into a network namespace, unless it is there."""
    try:
        descriptor = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
        try:
            own = os.stat('/proc/thread-self/ns/net')
            other = os.fstat(descriptor)
            if (own.st_dev, own.st_ino) != (other.st_dev, other.st_ino):
                _setns(descriptor)
        finally:
            os.close(descriptor)
    except PermissionError as error:
        raise PermissionError(
            error.errno,
            "entering the host's network namespace needs CAP_SYS_ADMIN and "
            'CAP_SYS_PTRACE',
            namespace,
        ) from error


def _setns(descriptor: int) -> None:
    # os.setns needs Python 3.12.
    library = ctypes.CDLL(None, use_errno=True)
    if library.setns(descriptor, _CLONE_NEWNET):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _read_indexed() -> Indexed:
    return Indexed(
        addresses=_dump(
            lambda rtnetlink: [
                (message['index'], _address(message))
                for message in rtnetlink.get_addr()
            ]
        ),
        routes=_dump(
            lambda rtnetlink: [
                _route(message)
                for message in rtnetlink.get_routes()
                if not message['flags'] & _CLONED
            ]
        ),
        next_hops=tuple(_next_hops()),
    )


def _interface_names() -> dict[int, str]:
    return dict(
        _dump(
            lambda rtnetlink: [
                (message['index'], str(message.get_attr('IFLA_IFNAME')))
                for message in rtnetlink.get_links()
            ]
        )
    )


def _dump(
    read: Callable[[pyroute2.IPRoute], list[_Result]],
) -> tuple[_Result, ...]:
    """Return the messages of a complete dump.

    :raises OSError: the kernel refused, or the tables never stop changing.
    """
    for _ in range(_ATTEMPTS):
        try:
            with pyroute2.IPRoute() as rtnetlink:
                return tuple(read(rtnetlink))
        except netlink.exceptions.NetlinkDumpInterrupted:
            continue
        except netlink.exceptions.NetlinkError as error:
            raise OSError(error.code, f'rtnetlink: {error}') from error
    raise OSError('rtnetlink: each dump was interrupted by a change')


def _address(message: typing.Any) -> str:
    # IFA_LOCAL is missing for IPv6; IFA_ADDRESS can be that of the peer.
    address = message.get_attr('IFA_LOCAL') or message.get_attr('IFA_ADDRESS')
    return f'{address}/{message["prefixlen"]}'


def _route(message: typing.Any) -> tuple[str, str, tuple[int, ...]]:
    length = message['dst_len']
    destination = 'default'
    if length:
        destination = f'{message.get_attr("RTA_DST")}/{length}'
    kind = _ROUTE_KINDS.get(message['type'], 'unknown')
    return kind, destination, tuple(_indexes(message))


def _indexes(message: typing.Any) -> Iterator[int]:
    """Yield the interface of each next hop of a route."""
    index = message.get_attr('RTA_OIF')
    if index is not None:
        yield index
    for next_hop in message.get_attr('RTA_MULTIPATH') or ():
        yield next_hop['oif']


def _names(
    indexes: Iterable[int], names: Mapping[int, str]
) -> tuple[str, ...]:
    return tuple(names[index] for index in indexes if index in names)


def _next_hops() -> Iterator[int]:
    """Yield the interface of each next-hop object.

    With ``net.ipv4.nexthop_compat_mode=0`` a route shows only the number of
    its object. Linux before 5.3 has no such objects.
    """
    with socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE
    ) as channel:
        channel.bind((0, 0))
        flags = netlink.NLM_F_REQUEST | netlink.NLM_F_DUMP
        # struct nlmsghdr, struct nhmsg
        channel.send(struct.pack('=IHHII8x', 24, _RTM_GETNEXTHOP, flags, 1, 0))
        messages = iter(lambda: channel.recv(1 << 16), b'')
        for data in messages:
            while data:
                length, kind, flags = struct.unpack_from('=IHH', data)
                if flags & netlink.NLM_F_DUMP_INTR:
                    raise OSError('rtnetlink: next hops changed meanwhile')
                if kind == netlink.NLMSG_DONE:
                    return
                if kind == netlink.NLMSG_ERROR:
                    _check_error(*struct.unpack_from('=i', data, 16))
                    return
                message = NextHop(data[:length])
                message.decode()
                index = message.get_attr('NHA_OIF')
                if index is not None:
                    yield index
                data = data[(length + 3) & ~3 :]


def _check_error(code: int) -> None:
    if -code not in (0, errno.EOPNOTSUPP):
        raise OSError(-code, f'rtnetlink: {os.strerror(-code)}')
