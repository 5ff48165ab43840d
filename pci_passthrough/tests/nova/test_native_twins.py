# SPDX-License-Identifier: Apache-2.0
"""The same moves of two servers: one by PCI flavor, one by ``[pci] alias``.

They tell where Nova itself forgets what an instance needs, and that a PCI
flavor is never worse.
"""

import dataclasses

from nova.tests.fixtures import libvirt as fakelibvirt
from nova.tests.functional.api import client
from oslo_serialization import jsonutils

from pci_passthrough.tests.nova import moves


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a server.

    :ivar devices: number of devices of its guest after the move.
    :ivar is_migrated: whether the next cold migration succeeded.
    :ivar then: number of devices of its guest at the end.
    """

    devices: int
    is_migrated: bool
    then: int


class TwinsTest(moves.MovesTest):
    """Two servers on c0; c2 has no more free devices than they need."""

    PCI_DEVICE_SPEC = [
        jsonutils.dumps(
            {
                'vendor_id': fakelibvirt.PCI_VEND_ID,
                'product_id': fakelibvirt.PCI_PROD_ID,
                'address': f'*:*:{slot:02x}.*',
            }
        )
        for slot in (0, 1)
    ]

    def boot_twins(self, gpus: int) -> list[moves.Server]:
        """Create the servers: by PCI flavor, and by alias."""
        for number, name in enumerate(moves.HOSTS):
            self.start_host(
                name, native=2, bus=0x81 + number, live_migratable='true'
            )
        for flavor in self.flavors(2 - gpus):
            self.boot(flavor_id=flavor, host='c2')
        return [
            self.boot(flavor_id=flavor, host='c0')
            for flavor in self.flavors(gpus)
        ]

    def flavors(self, gpus: int) -> list[str]:
        """Create the flavors of both servers."""
        native = {'pci_passthrough:alias': f'native:{gpus}'} if gpus else {}
        return [self.gpu_flavor(gpus), self._create_flavor(extra_spec=native)]

    def outcome(self, server: moves.Server) -> Outcome:
        """Migrate a server cold, to c2 only; return what became of it."""
        before = len(self.hostdevs(self.host_of(server), server))
        try:
            self.migrate(server)
        except client.OpenStackApiException as error:
            self.assertIn('NoValidHost', str(error))
            return Outcome(before, False, before)
        self.assertEqual('c2', self.host_of(server))
        return Outcome(before, True, len(self.hostdevs('c2', server)))

    def outcomes(self, servers: list[moves.Server]) -> list[Outcome]:
        """Return what became of both."""
        self.disable_host('c0')
        self.disable_host('c1')
        return [self.outcome(server) for server in servers]

    def test_reverted_resize(self) -> None:
        """Nova asks for the devices of the flavor that was given back."""
        servers = self.boot_twins(1)
        for server, flavor in zip(servers, self.flavors(2), strict=True):
            self._resize_server(server, flavor)
            self._revert_resize(server)
        self.assertEqual(
            [Outcome(1, True, 1), Outcome(1, False, 1)],
            self.outcomes(servers),
        )

    def test_reverted_resize_from_nothing(self) -> None:
        """Nova asks for a device that the server does not need."""
        servers = self.boot_twins(0)
        for server, flavor in zip(servers, self.flavors(1), strict=True):
            self._resize_server(server, flavor)
            self._revert_resize(server)
        self.assertEqual(
            [Outcome(0, True, 0), Outcome(0, False, 0)],
            self.outcomes(servers),
        )

    def test_resize_that_failed_on_its_destination(self) -> None:
        """Nova cannot start the guest again: it has lost the requests."""
        ours, twin = self.boot_twins(1)
        flavor, native = self.flavors(2)
        self.fail_to_resize(ours, flavor, 'destination')
        error = self.assertRaises(
            client.OpenStackApiException,
            self.fail_to_resize,
            twin,
            native,
            'destination',
        )
        self.assertIn('KeyError', str(error))
        self.disable_host('c0')
        self.disable_host('c1')
        self.assertEqual(Outcome(2, True, 1), self.outcome(ours))
