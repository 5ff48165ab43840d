# SPDX-License-Identifier: Apache-2.0
"""Tests of the decision whether a pool's devices can serve a NIC."""

from typing import Any

import testtools

from pci_passthrough import matching
from pci_passthrough import objects
from pci_passthrough.objects import fields


def key(network: str | None = None, **properties: Any) -> objects.PoolKey:
    """Return the key of virtual functions on a physical network."""
    tags = () if network is None else (('physical_network', network),)
    vf_properties = {
        'vendor_id': '8086',
        'product_id': '1889',
        'subsystem_vendor_id': None,
        'subsystem_id': None,
        'pci_class': '020000',
        'dev_type': 'type-VF',
        'driver': None,
        'numa_node': 0,
        'extra_info': (('group', '10g'), *tags),
    }
    return objects.PoolKey(**vf_properties | properties)


def nic(*networks: str, vnic_type: str = 'direct') -> objects.RequestedNic:
    """Return a NIC; without networks, it is on an overlay network."""
    return objects.RequestedNic(
        vnic_type=vnic_type, physical_networks=list(networks)
    )


class ServesNicTest(testtools.TestCase):
    def test_networks(self) -> None:
        for network, networks, expected in (
            ('physnet1', ('physnet1',), True),
            ('physnet1', ('physnet2', 'physnet1'), True),
            ('physnet1', ('physnet2',), False),
            ('physnet1', ('Physnet1',), False),
            ('physnet1', ('physnet',), False),
            ('physnet1', (), False),
            (None, ('physnet1',), False),
            (None, (), True),
        ):
            with self.subTest(network=network, networks=networks):
                self.assertEqual(
                    expected, matching.serves_nic(key(network), nic(*networks))
                )

    def test_vnic_types(self) -> None:
        served = {
            (vnic_type, dev_type)
            for vnic_type in fields.VnicType.ALL
            for dev_type in fields.DevType.ALL
            if matching.serves_nic(
                key(dev_type=dev_type), nic(vnic_type=vnic_type)
            )
        }
        self.assertEqual(
            {
                ('direct', 'type-VF'),
                ('macvtap', 'type-VF'),
                ('direct-physical', 'type-PF'),
                ('vdpa', 'vdpa'),
            },
            served,
        )

    def test_no_vnic_type(self) -> None:
        request = objects.RequestedNic(vnic_type=None, physical_networks=[])
        self.assertFalse(matching.serves_nic(key(), request))
        # A mediated device of a network controller has no type of device.
        self.assertFalse(matching.serves_nic(key(dev_type=None), request))

    def test_classes(self) -> None:
        for pci_class, expected in (
            ('020000', True),
            ('028000', True),
            ('030200', False),
            ('120200', False),
        ):
            pool_key = key(pci_class=pci_class)
            self.assertEqual(
                expected, matching.is_network_class(pool_key.pci_class)
            )
            self.assertEqual(expected, matching.serves_nic(pool_key, nic()))


class UnmetNicConditionsTest(testtools.TestCase):
    def test_conditions(self) -> None:
        gpu = key('a', pci_class='030200', dev_type='type-PCI')
        for pool_key, networks, expected in (
            (key('a'), ('a', 'b'), []),
            (
                key('c'),
                ('a', 'b'),
                [('e.physical_network', '["a", "b"]', 'c')],
            ),
            (key(), ('a',), [('e.physical_network', '["a"]', None)]),
            (key('a'), (), [('e.physical_network', 'null', 'a')]),
            (
                gpu,
                ('a',),
                [
                    ('class', '"network"', '030200'),
                    ('dev_type', '"type-VF"', 'type-PCI'),
                ],
            ),
        ):
            self.assertEqual(
                expected,
                [
                    (miss.key, miss.wanted, miss.actual)
                    for miss in matching.unmet_nic_conditions(
                        pool_key, nic(*networks)
                    )
                ],
            )
