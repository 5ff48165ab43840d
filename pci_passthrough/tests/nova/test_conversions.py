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
        self.to_native = conversions.ToNative(lambda name: native)
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

    def flavor(self, **specs: str) -> Any:
        return nova_objects.Flavor(
            extra_specs={f'pci_passthrough:{k}': v for k, v in specs.items()}
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
            flavor = self.flavor(pci_flavor=f'{name}:2')
            native, kept = self.to_native.requests([ours, other], flavor)
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
            flavor.extra_specs = self.to_native.extra_specs(flavor.extra_specs)
            back, kept = self.to_ours.requests([native, other], flavor)
            self.assertIs(other, kept)
            self.assertEqual(ours.obj_to_primitive(), back.obj_to_primitive())

    def test_not_converted(self) -> None:
        """Requests of Nova's own stay when nothing was left."""
        native = nova_objects.InstancePCIRequest(
            count=1, spec=[_SPEC], alias_name='gpu', request_id='n'
        )
        for specs in ({}, {'alias': 'gpu:1'}):
            flavor = self.flavor(**specs)
            for conversion in (self.to_native, self.to_ours):
                (same,) = conversion.requests([native], flavor)
                self.assertIs(native, same)

    def test_obstacles(self) -> None:
        nic = requests.make_nic_request(
            self.gpu,
            objects.RequestedNic(vnic_type='direct', physical_networks=['p1']),
            'r',
            'the-port',
            None,
        )
        for request, problem in (
            (nic, 'port the-port'),
            (self.request(number=2), 'alternatives'),
        ):
            error = self.assertRaises(
                extra_specs.Obstacle,
                self.to_native.requests,
                [request],
                self.flavor(),
            )
            self.assertIn(problem, error.problem)

    def test_pci_flavor_is_gone(self) -> None:
        def not_found(asked: Sequence[objects.PciRequest]) -> Any:
            raise exception.PciFlavorNotFound('gpu')

        flavor = self.flavor(pci_flavor='gpu:2')
        natives = self.to_native.requests([self.request()], flavor)
        flavor.extra_specs = self.to_native.extra_specs(flavor.extra_specs)
        error = self.assertRaises(
            extra_specs.Obstacle,
            conversions.ToOurs(lambda name: 'gpu', not_found).requests,
            natives,
            flavor,
        )
        self.assertIn('asked for', error.problem)
