# SPDX-License-Identifier: Apache-2.0
"""Tests of the decision which interfaces the host uses, with tables."""

import testtools

from pci_passthrough.discovery import host_facts
from pci_passthrough.discovery import in_use
from pci_passthrough.discovery import network_use

NICS = {f'ens{number}': f'0000:0{number}:00.0' for number in range(1, 4)}


def host(
    network: host_facts.Network,
    *remote_storage: host_facts.RemoteStorage,
    mountinfo: str = '',
) -> host_facts.HostFacts:
    """Return a host with three network cards."""
    return host_facts.HostFacts(
        functions={
            address: host_facts.Function(address, '020000')
            for address in NICS.values()
        },
        block_devices={},
        interfaces={
            name: host_facts.Interface(name, (address,))
            for name, address in NICS.items()
        },
        network=network,
        remote_storage=remote_storage,
        mountinfo=mountinfo,
    )


def addresses(**by_name: str) -> host_facts.Network:
    return host_facts.Network(
        tuple(
            host_facts.Address(name, address)
            for name, address in by_name.items()
        )
    )


def route(
    destination: str, *interfaces: str, kind: str = 'unicast'
) -> host_facts.Network:
    return host_facts.Network(
        routes=(host_facts.Route(destination, interfaces, kind),)
    )


class NetworkTestCase(testtools.TestCase):
    def test_table(self) -> None:
        """Each row: the facts, and the reasons by interface."""
        default = 'carries the default route'
        for network, expected in (
            (host_facts.Network(), {}),
            (addresses(lo='127.0.0.1/8'), {}),
            (addresses(ens1='169.254.3.4/16'), {}),
            (addresses(ens1='fe80::1/64'), {}),
            (
                addresses(ens1='10.0.0.1/32'),
                {'ens1': 'carries the address 10.0.0.1'},
            ),
            (
                addresses(ens2='2001:db8::1/128'),
                {'ens2': 'carries the address 2001:db8::1'},
            ),
            # Every next hop of an ECMP route.
            (
                route('default', 'ens1', 'ens3'),
                {'ens1': default, 'ens3': default},
            ),
            (
                route('192.0.2.0/24', 'ens2'),
                {'ens2': 'carries the route to 192.0.2.0/24'},
            ),
            (
                route('2001:db8::/32', 'ens2'),
                {'ens2': 'carries the route to 2001:db8::/32'},
            ),
            (
                route('198.51.100.1/32', 'ens2', kind='local'),
                {'ens2': 'carries the route to 198.51.100.1/32'},
            ),
            (route('fe80::/64', 'ens1'), {}),
            (route('fe80::1/128', 'ens1', kind='local'), {}),
            (route('ff00::/8', 'ens1', kind='multicast'), {}),
            (route('224.0.0.0/4', 'ens1'), {}),
            (route('169.254.0.0/16', 'ens1'), {}),
            (route('default', 'ens1', kind='unreachable'), {}),
            (route('192.0.2.0/24', 'ens1', kind='blackhole'), {}),
            (route('192.0.2.0/24', 'ens1', kind='prohibit'), {}),
            (route('192.0.2.0/24', 'ens1', kind='throw'), {}),
            (
                host_facts.Network(next_hops=('ens3',)),
                {'ens3': 'carries a next hop of routes'},
            ),
        ):
            with self.subTest(network):
                self.assertEqual(
                    {
                        NICS[name]: f'its network interface {name} {reason}'
                        for name, reason in expected.items()
                    },
                    in_use.reasons_in_use(host(network)),
                )


class RemoteStorageTestCase(testtools.TestCase):
    """The route to the server of network storage."""

    network = host_facts.Network(
        routes=(
            host_facts.Route('default', ('ens1',)),
            host_facts.Route('192.0.2.0/24', ('ens2',)),
            host_facts.Route('192.0.2.128/25', ('ens3',)),
            host_facts.Route('192.0.2.200/32', ('lo',), 'local'),
            host_facts.Route('192.0.2.64/26', ('ens1',), 'blackhole'),
            host_facts.Route('2001:db8::/64', ('ens2', 'ens3')),
            host_facts.Route('fe80::/64', ('ens1',)),
            host_facts.Route('169.254.0.0/16', ('ens3',)),
        )
    )

    def test_interfaces_towards(self) -> None:
        for server, expected in (
            ('192.0.2.1', ('ens2',)),
            ('192.0.2.65', ('ens2',)),
            ('192.0.2.129', ('ens3',)),
            ('192.0.2.200', ('lo',)),
            ('198.51.100.1', ('ens1',)),
            ('2001:db8::1', ('ens2', 'ens3')),
            ('fe80::1', ('ens1',)),
            ('fe80::1%ens2', ('ens2',)),
            ('169.254.1.1', ('ens3',)),
            ('storage.example.org', ()),
            ('', ()),
        ):
            with self.subTest(server):
                self.assertEqual(
                    expected,
                    network_use.interfaces_towards(self.network, server),
                )

    def test_next_hop_objects_hide_the_interface(self) -> None:
        network = host_facts.Network(next_hops=('ens1', 'ens2'))
        self.assertEqual(
            ('ens1', 'ens2'),
            network_use.interfaces_towards(network, '192.0.2.1'),
        )

    def test_link_local_server(self) -> None:
        """A link-local address alone is no use; storage behind it is."""
        network = route('169.254.0.0/16', 'ens3')
        self.assertEqual({}, in_use.reasons_in_use(host(network)))
        storage = host_facts.RemoteStorage('iSCSI one', '169.254.1.1')
        self.assertEqual(
            {
                NICS['ens3']: 'its network interface ens3 carries the route '
                'to the server of iSCSI one'
            },
            in_use.reasons_in_use(host(network, storage)),
        )

    def test_server_on_this_host(self) -> None:
        network = route('192.0.2.1/32', 'lo', kind='local')
        storage = host_facts.RemoteStorage('NVMe nvme0', '192.0.2.1')
        self.assertEqual({}, in_use.reasons_in_use(host(network, storage)))

    def test_no_route(self) -> None:
        storage = host_facts.RemoteStorage('iSCSI one', '192.0.2.1')
        reason = (
            f'{in_use.USE_UNKNOWN}no route leads to 192.0.2.1, the server of '
            'iSCSI one'
        )
        self.assertEqual(
            dict.fromkeys(NICS.values(), reason),
            in_use.reasons_in_use(host(host_facts.Network(), storage)),
        )

    def test_nfs_root(self) -> None:
        mountinfo = (
            '22 1 0:20 / / rw shared:1 - nfs4 192.0.2.9:/root '
            'rw,vers=4.2,clientaddr=192.0.2.1,addr=169.254.0.9\n'
            '23 22 0:21 / /tmp rw - tmpfs tmpfs rw\n'
            '24 22 0:22 / /odd rw - tmpfs'
        )
        facts = host(route('169.254.0.0/16', 'ens2'), mountinfo=mountinfo)
        self.assertEqual(
            {
                NICS['ens2']: 'its network interface ens2 carries the route '
                'to the server of nfs4 at /'
            },
            in_use.reasons_in_use(facts),
        )
