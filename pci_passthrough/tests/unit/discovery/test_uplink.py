# SPDX-License-Identifier: Apache-2.0
"""Tests of the decision which interface is that of a function itself."""

import fixtures
import testtools

from pci_passthrough.discovery import host_facts
from pci_passthrough.discovery import sysfs_reader
from pci_passthrough.discovery import uplink
from pci_passthrough.tests.unit.discovery import host_tree

_PF = '0000:d8:00.1'


def port(
    name: str, port_name: str | None, index: int = 1, is_direct: bool = True
) -> host_facts.Interface:
    """Return an interface of a PF in switchdev mode."""
    return host_facts.Interface(
        name,
        ('0000:00:01.0', _PF),
        index=index,
        is_direct=is_direct,
        port_name=port_name,
        switch_id=port_name and '0c42a1',
    )


class MainInterfacesTestCase(testtools.TestCase):
    def test_table(self) -> None:
        """Each row: the interfaces of one PF, and the main one."""
        for interfaces, main in (
            ([port('ens8f1', None)], 'ens8f1'),
            ([port('ens8f1np1', 'p1'), port('eth0', 'pf1vf0')], 'ens8f1np1'),
            ([port('a', 'pf1sf8'), port('b', 'p1', 9)], 'b'),
            ([port('a', 'c1pf1vf0'), port('b', 'p1', 9)], 'b'),
            ([port('a', 'pf1'), port('b', 'p1', 9)], 'b'),
            ([port('a', 'c1pf1'), port('b', 'p1', 9)], 'b'),
            # A subfunction is no port of the switch, its representor is.
            (
                [port('a', None, 1, False), port('b', 'p1', 9)],
                'b',
            ),
            ([port('a', None, 1, False), port('b', None, 9)], 'b'),
            # Ports of one function, and a port that is split.
            ([port('a', 'p10'), port('b', 'p9')], 'b'),
            ([port('a', 'p0s1'), port('b', 'p0s0')], 'b'),
            # Names of older drivers: not a port of a switch, then the oldest.
            ([port('a', '0', 3), port('b', None, 9)], 'b'),
            ([port('a', '0', 3), port('b', '65535', 2)], 'b'),
            # The uplink is in another network namespace.
            ([port('eth0', 'pf1vf0'), port('eth1', 'pf1vf1')], None),
        ):
            with self.subTest(interfaces):
                for order in (interfaces, interfaces[::-1]):
                    self.assertEqual(
                        {_PF: main},
                        uplink.main_interfaces(
                            {item.name: item for item in order}
                        ),
                    )

    def test_interface_without_function(self) -> None:
        bridge = host_facts.Interface('br0')
        self.assertEqual({}, uplink.main_interfaces({'br0': bridge}))


class ReadTestCase(testtools.TestCase):
    """The properties of ports in sysfs."""

    def test_properties(self) -> None:
        self.useFixture(fixtures.FakeLogger())
        tree = self.useFixture(host_tree.HostTree())
        nic = tree.device(host_tree.NIC)
        path = tree.interface('eth7', nic)
        tree.write(f'{path}/phys_port_name', 'p0')
        tree.write(f'{path}/phys_switch_id', '0c42a1')
        tree.write(f'{path}/ifindex', '12')
        tree.interface('a', f'{nic}/mlx5_core.sf.2')
        interfaces = (
            sysfs_reader.SysfsReader(str(tree.root)).facts().interfaces
        )
        functions = ('0000:00:01.0', host_tree.NIC)
        self.assertEqual(
            {
                'eth7': host_facts.Interface(
                    'eth7',
                    functions,
                    index=12,
                    port_name='p0',
                    switch_id='0c42a1',
                ),
                'a': host_facts.Interface('a', functions, is_direct=False),
            },
            interfaces,
        )
        self.assertEqual(
            {host_tree.NIC: 'eth7'}, uplink.main_interfaces(interfaces)
        )
