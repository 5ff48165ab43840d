# SPDX-License-Identifier: Apache-2.0
"""Tests of ``nova_plugin.leaving.conversions``: requests, without a cloud."""

from collections.abc import Sequence
from typing import Any

from nova import objects as nova_objects
from oslo_utils import uuidutils
import testtools

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.nova_plugin import requests
from pci_passthrough.nova_plugin.leaving import conversions
from pci_passthrough.nova_plugin.leaving import extra_specs

_SPEC = {'vendor_id': '10de', 'product_id': '2330'}


class ConversionTestCase(testtools.TestCase):
    """A PCI flavor ``gpu`` with the NUMA policy ``required``."""

    def setUp(self) -> None:
        super().setUp()
        nova_objects.register_all()
        self.gpu = objects.PciAlternative(
            uuid=uuidutils.generate_uuid(),
            name='gpu',
            numa_policy='required',
            vnic_type=None,
            live_migratable=False,
        )
        native = nova_objects.InstancePCIRequest(
            count=1, spec=[_SPEC], alias_name='gpu', numa_policy='required'
        )
        self.to_native = conversions.ToNative(
            lambda name: native, lambda instance, held: held
        )
        self.to_ours = conversions.ToOurs(lambda name: 'gpu', self.resolve)

    def resolve(
        self, asked: Sequence[objects.PciRequest]
    ) -> list[objects.ResolvedRequest]:
        """Stand in for the conductor."""
        return [
            objects.ResolvedRequest(
                request_id=request.request_id,
                count=request.count,
                alternatives=[self.gpu],
            )
            for request in asked
        ]

    def request(
        self, name: str = 'gpu', policy: str | None = None, number: int = 1
    ) -> Any:
        """Return a request for a number of alternatives, by its id ``r``."""
        asked = objects.PciRequest(
            request_id='r', count=2, pci_flavors=[name], numa_policy=None
        )
        return requests.make_flavor_request(asked, [self.gpu] * number, policy)

    def instance(self, **specs: str) -> Any:
        """Return an instance whose flavor has extra specs."""
        return nova_objects.Instance(
            flavor=nova_objects.Flavor(
                extra_specs={
                    f'pci_passthrough:{k}': v for k, v in specs.items()
                }
            )
        )

    def nic(
        self, *networks: str, port: str | None = 'port', kind: str = 'direct'
    ) -> Any:
        """Return the request of a NIC."""
        return requests.make_nic_request(
            self.gpu,
            objects.RequestedNic(vnic_type=kind, physical_networks=networks),
            'r',
            port,
            'preferred',
        )

    def test_there_and_back(self) -> None:
        """Id, count and NUMA policy stay; so does the name that was used."""
        other = nova_objects.InstancePCIRequest(
            count=1, spec=[_SPEC], alias_name='other', request_id='o'
        )
        for name, policy, native_policy in (
            ('gpu', None, 'required'),
            ('gpu', 'preferred', 'preferred'),
            (self.gpu.uuid, None, 'required'),
        ):
            ours = self.request(name, policy)
            instance = self.instance(pci_flavor=f'{name}:2')
            native, kept = self.to_native.requests([ours, other], instance)
            self.assertIs(other, kept)
            self.assertEqual(
                ('r', 2, [_SPEC], 'gpu', native_policy),
                (
                    native.request_id,
                    native.count,
                    native.spec,
                    native.alias_name,
                    native.numa_policy,
                ),
            )
            flavor = instance.flavor
            flavor.extra_specs = self.to_native.extra_specs(flavor.extra_specs)
            back, kept = self.to_ours.requests([native, other], instance)
            self.assertIs(other, kept)
            self.assertEqual(ours.obj_to_primitive(), back.obj_to_primitive())

    def test_not_converted(self) -> None:
        """Requests of Nova's own stay when nothing was left."""
        native = nova_objects.InstancePCIRequest(
            count=1, spec=[_SPEC], alias_name='gpu', request_id='n'
        )
        for specs in ({}, {'alias': 'gpu:1'}):
            instance = self.instance(**specs)
            for conversion in (self.to_native, self.to_ours):
                (same,) = conversion.requests([native], instance)
                self.assertIs(native, same)

    def test_nic(self) -> None:
        """A NIC is found again by its own request."""
        instance = self.instance()
        for kind, more in (
            ('direct', {}),
            ('macvtap', {}),
            ('direct-physical', {'dev_type': 'type-PF'}),
            ('vdpa', {'dev_type': 'vdpa'}),
        ):
            ours = self.nic('p1', kind=kind)
            (native,) = self.to_native.requests([ours], instance)
            self.assertFalse(requests.is_for_pci_flavor(native))
            self.assertEqual(
                {'physical_network': 'p1', 'remote_managed': 'False', **more},
                native.spec[0],
            )
            self.assertEqual(
                (nova_objects.InstancePCIRequest.NEUTRON_PORT, 'port', 'r'),
                (native.source, native.requester_id, native.request_id),
            )
            (same,) = self.to_native.requests([native], instance)
            self.assertIs(native, same)
            (back,) = self.to_ours.requests([native], instance)
            self.assertEqual(ours.obj_to_primitive(), back.obj_to_primitive())

    def test_nic_is_gone(self) -> None:
        """The port was deleted in Neutron."""
        kept = self.request()
        left = conversions.ToNative(
            self.to_native.native, lambda instance, held: []
        ).requests([kept, self.nic('p1')], self.instance())
        self.assertEqual(['gpu'], [request.alias_name for request in left])

    def test_obstacles(self) -> None:
        for request, problem in (
            (self.nic('p1', 'p2'), 'port port'),
            (self.nic(), 'no physical network'),
            (self.nic('p1', port=None), 'port unknown'),
            (self.request(number=2), 'alternatives'),
        ):
            error = self.assertRaises(
                extra_specs.Obstacle,
                self.to_native.requests,
                [request],
                self.instance(),
            )
            self.assertIn(problem, error.problem)

    def test_pci_flavor_is_gone(self) -> None:
        def not_found(asked: Sequence[objects.PciRequest]) -> Any:
            raise exception.PciFlavorNotFound('gpu')

        instance = self.instance(pci_flavor='gpu:2')
        natives = self.to_native.requests([self.request()], instance)
        flavor = instance.flavor
        flavor.extra_specs = self.to_native.extra_specs(flavor.extra_specs)
        error = self.assertRaises(
            extra_specs.Obstacle,
            conversions.ToOurs(lambda name: 'gpu', not_found).requests,
            natives,
            instance,
        )
        self.assertIn('asked for', error.problem)
