# SPDX-License-Identifier: Apache-2.0
"""Addresses and routes of real network namespaces."""

import concurrent.futures
import dataclasses
import os
import pathlib
import sys
import typing

import fixtures
import testtools
from testtools import content

from pci_passthrough import chroot_files
from pci_passthrough.discovery import host_facts
from pci_passthrough.discovery import in_use
from pci_passthrough.discovery import interface_reader
from pci_passthrough.discovery import netlink
from pci_passthrough.discovery import read_errors
from pci_passthrough.tests.lab import network_namespace

#: The network cards: pairs of virtual interfaces, with these functions.
_NICS = {f'ens{number}': f'0000:0{number}:00.0' for number in range(1, 5)}

_UP = '; '.join(f'link set {name} up' for name in _NICS)


class _Setup(typing.NamedTuple):
    """One kind of network."""

    #: commands of ip(8), separated by semicolons
    commands: str
    #: the interfaces that are used
    used: str
    #: settings of sysctl(8)
    settings: str = ''


#: Each kind of network that hosts have.
_SETUPS = {
    'nothing': _Setup('', ''),
    'link-local addresses only': _Setup(
        f'{_UP}; address add 169.254.1.1/16 dev ens1', ''
    ),
    'address': _Setup('address add 192.0.2.1/24 dev ens2', 'ens2'),
    'ECMP default route': _Setup(
        f'{_UP}; address add 192.0.2.1/31 dev ens1; '
        'address add 192.0.2.3/31 dev ens2; '
        'route add default nexthop via 192.0.2.0 nexthop via 192.0.2.2',
        'ens1 ens2',
    ),
    'ECMP by device, without addresses there': _Setup(
        f'{_UP}; address add 10.0.0.1/32 dev lo; '
        'route add default nexthop dev ens1 nexthop dev ens3',
        'ens1 ens3',
    ),
    'unnumbered BGP, RFC 5549': _Setup(
        f'{_UP}; address add 10.0.0.1/32 dev lo; '
        'route add default nexthop via inet6 fe80::2 dev ens1 '
        'nexthop via inet6 fe80::2 dev ens2',
        'ens1 ens2',
    ),
    'unnumbered BGP, /32 on the uplinks': _Setup(
        f'{_UP}; address add 10.0.0.1/32 dev ens1; '
        'address add 10.0.0.1/32 dev ens4',
        'ens1 ens4',
    ),
    'next-hop objects': _Setup(
        f'{_UP}; nexthop add id 1 via 192.0.2.1 dev ens1 onlink; '
        'nexthop add id 2 via 192.0.2.1 dev ens2 onlink; '
        'nexthop add id 3 group 1/2; route add default nhid 3',
        'ens1 ens2',
    ),
    'next-hop objects, hidden in routes': _Setup(
        f'{_UP}; nexthop add id 1 via 192.0.2.1 dev ens1 onlink; '
        'nexthop add id 2 via 192.0.2.1 dev ens2 onlink; '
        'nexthop add id 3 group 1/2; nexthop add id 4 blackhole; '
        'route add default nhid 3',
        'ens1 ens2',
        'net.ipv4.nexthop_compat_mode=0',
    ),
    'IPv6 only': _Setup(
        f'{_UP}; -6 address add 2001:db8::1/64 dev ens2 nodad; '
        '-6 route add default via 2001:db8::2',
        'ens2',
    ),
    'IPv6 ECMP': _Setup(
        f'{_UP}; -6 route add 2001:db8::/64 nexthop via fe80::2 dev ens1 '
        'nexthop via fe80::3 dev ens4',
        'ens1 ens4',
    ),
    'table of a VRF, without the VRF': _Setup(
        f'{_UP}; route add 192.0.2.0/24 dev ens3 table 1001; '
        '-6 route add 2001:db8::/64 dev ens4 table 1001',
        'ens3 ens4',
    ),
    'VRF': _Setup(
        'link add red type vrf table 1001; link set ens3 master red', 'ens3'
    ),
    'routes that reject': _Setup(
        f'{_UP}; route add blackhole 192.0.2.0/24; '
        'route add unreachable 198.51.100.0/24; '
        'route add prohibit 203.0.113.0/24; '
        '-6 route add unreachable default metric 4278198272',
        '',
    ),
    'bridge': _Setup(
        'link add br0 type bridge; link set ens1 master br0; '
        'link set ens2 master br0',
        'ens1 ens2',
    ),
    'bond': _Setup(
        'link add bond0 type bond; link set ens1 master bond0; '
        'link set ens2 master bond0; address add 192.0.2.1/24 dev bond0',
        'ens1 ens2',
    ),
    'VLAN without use': _Setup(
        'link add link ens1 name ens1.7 type vlan id 7', ''
    ),
    'VLAN with an address': _Setup(
        'link add link ens1 name ens1.7 type vlan id 7; '
        'address add 192.0.2.1/24 dev ens1.7',
        'ens1',
    ),
    'VLAN in a bridge': _Setup(
        'link add link ens1 name ens1.7 type vlan id 7; '
        'link add br0 type bridge; link set ens1.7 master br0',
        'ens1',
    ),
    'macvlan': _Setup('link add link ens4 name mac0 type macvlan', 'ens4'),
    'tunnel': _Setup(
        f'{_UP}; address add 192.0.2.1/24 dev ens1; '
        'link add vx0 type vxlan id 4 dev ens1 dstport 4789; '
        'address add 198.51.100.1/24 dev vx0',
        'ens1',
    ),
}

#: The link types that some kernels do not have.
_OPTIONAL_TYPES = ('bond', 'vlan', 'vrf', 'macvlan', 'vxlan')


class _NoSuchLinkError(Exception):
    """The kernel lacks a type of links."""


class NetlinkTestCase(testtools.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.logger = self.useFixture(fixtures.FakeLogger())

    def namespace(self) -> network_namespace.NetworkNamespace:
        namespace = network_namespace.NetworkNamespace()
        self.useFixture(namespace)
        return namespace

    def facts(self, root: pathlib.Path) -> host_facts.HostFacts:
        """Read a namespace; its interfaces get functions."""
        files = chroot_files.ChrootFiles(str(root))
        errors = read_errors.ReadErrors(files)
        interfaces, network = interface_reader.interfaces_and_network(
            files, errors
        )
        for name, address in _NICS.items():
            if name in interfaces:
                interfaces[name] = dataclasses.replace(
                    interfaces[name], functions=(address,)
                )
        return host_facts.HostFacts(
            functions={
                address: host_facts.Function(address, '020000')
                for address in _NICS.values()
            },
            block_devices={},
            interfaces=interfaces,
            network=network,
            unreadable=tuple(errors.unreadable),
        )

    def test_each_kind_of_network(self) -> None:
        not_here = []
        for name, setup in _SETUPS.items():
            with self.subTest(name):
                namespace = self.namespace()
                try:
                    self._configure(namespace, setup)
                except _NoSuchLinkError:
                    not_here.append(name)
                    continue
                self._check(namespace, setup)
        self.addDetail(
            'not on this kernel', content.text_content(', '.join(not_here))
        )

    def _check(
        self, namespace: network_namespace.NetworkNamespace, setup: _Setup
    ) -> None:
        facts = self.facts(namespace.host_root)
        self.assertEqual((), facts.unreadable)
        reasons = in_use.reasons_in_use(facts)
        self.assertEqual(
            {_NICS[nic] for nic in setup.used.split()},
            set(reasons),
            str(setup),
        )
        for reason in reasons.values():
            self.assertNotIn(in_use.USE_UNKNOWN, reason)

    def _configure(
        self, namespace: network_namespace.NetworkNamespace, setup: _Setup
    ) -> None:
        """Create the interfaces and run the commands.

        :raises _NoSuchLinkError: this kernel lacks a type of links.
        """
        for number, name in enumerate(_NICS):
            namespace.run(
                'ip', 'link', 'add', name, 'type', 'veth',
                'peer', 'name', f'peer{number}',
            )  # fmt: skip
            namespace.run('ip', 'link', 'set', f'peer{number}', 'up')
        if setup.settings:
            namespace.run('sysctl', '-qw', setup.settings)
        for command in filter(None, setup.commands.split(';')):
            words = command.split()
            try:
                namespace.run('ip', *words)
            except AssertionError as error:
                if 'Unknown device type' in str(error) and (
                    words[words.index('type') + 1] in _OPTIONAL_TYPES
                ):
                    raise _NoSuchLinkError from error
                raise

    def test_rest_of_the_process_stays(self) -> None:
        namespace = self.namespace()
        own = os.stat('/proc/self/ns/net').st_ino
        names = netlink.interface_names(f'/proc/{namespace.pid}/ns/net')
        self.assertEqual(['lo'], list(names.values()))
        self.assertEqual(own, os.stat('/proc/thread-self/ns/net').st_ino)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            later = pool.submit(os.stat, '/proc/thread-self/ns/net').result()
        self.assertEqual(own, later.st_ino)

    def test_own_namespace_needs_no_privilege(self) -> None:
        """A process without capabilities, in a namespace with an address."""
        namespace = self.namespace()
        self._configure(namespace, _SETUPS['address'])
        self.assertEqual(
            'ens2 192.0.2.1/24\n',
            self._unprivileged(namespace, '/proc/self/ns/net'),
        )

    def test_other_namespace_without_privilege(self) -> None:
        namespace = self.namespace()
        other = self.namespace()
        self.assertEqual(
            "[Errno 13] entering the host's network namespace needs "
            'CAP_SYS_ADMIN and CAP_SYS_PTRACE: '
            f"'/proc/{other.pid}/ns/net'\n",
            self._unprivileged(namespace, f'/proc/{other.pid}/ns/net'),
        )

    def _unprivileged(
        self, namespace: network_namespace.NetworkNamespace, path: str
    ) -> str:
        script = self.useFixture(fixtures.TempDir()).join('script.py')
        pathlib.Path(script).write_text(_SCRIPT)
        return namespace.output(
            'setpriv', '--bounding-set=-all', '--inh-caps=-all',
            sys.executable, script, path,
        )  # fmt: skip

    def test_process_that_has_ended(self) -> None:
        reasons = in_use.reasons_in_use(
            self.facts(pathlib.Path('/proc/4194305/root'))
        )
        self.assertEqual(set(_NICS.values()), set(reasons))
        for reason in reasons.values():
            self.assertIn('/proc/4194305/ns/net', reason)


_SCRIPT = """
import sys
from pci_passthrough.discovery import netlink
try:
    indexed = netlink.read_indexed(sys.argv[1])
    network = indexed.named(netlink.interface_names(sys.argv[1]))
except OSError as error:
    print(error)
else:
    for address in network.addresses:
        if address.interface != 'lo':
            print(address.interface, address.address)
"""
