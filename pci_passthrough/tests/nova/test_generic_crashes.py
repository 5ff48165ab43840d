# SPDX-License-Identifier: Apache-2.0
"""Interrupts operations with devices that are no PCI functions.

As in ``test_crashes``. Only the conductor records who holds such a device, so
there are fewer steps between which an operation can be interrupted.
"""

from collections.abc import Mapping

from pci_passthrough.tests.nova import generic
from pci_passthrough.tests.nova import test_crashes

Server = test_crashes.Server


class Interrupted(generic.Generic, test_crashes.Interrupted):
    """Hosts that also have slices of a GPU and USB tokens."""

    def setUp(self) -> None:
        super().setUp()
        self.add_resource_types()
        for number, host in enumerate(self.HOSTS):
            self.report_generic(host, number)
        self.flavor_1 = self.small_flavor('slice:1,token:1')
        self.flavor_2 = self.small_flavor('slice:1,gpu:1')

    def rows_agree(
        self, host: str, held: Mapping[str, tuple[str, str | None]]
    ) -> bool:
        """Whether Nova's rows are those of the held PCI functions."""
        functions = {a: state for a, state in held.items() if len(a) == 12}
        return self.attachment_rows(host) == functions

    def guest_devices(self, host: str, server: Server) -> list[str]:
        """Return the addresses of a guest's devices, sorted."""
        return sorted(address for _, address in self.elements(server))


class OneHostTest(Interrupted):
    """Operations on one host."""

    def test_boot(self) -> None:
        steps = self.interrupt_at_each_step(
            dict, lambda _: self.create(self.flavor_1), 'ACTIVE'
        )
        self.assertEqual(['claim', 'allocate'], steps)

    def test_boot_beside_a_pci_function(self) -> None:
        steps = self.interrupt_at_each_step(
            dict, lambda _: self.create(self.flavor_2), 'ACTIVE'
        )
        self.assertEqual(
            ['claim', 'save available', 'save allocated', 'allocate'], steps
        )

    def test_delete(self) -> None:
        steps = self.interrupt_at_each_step(
            lambda: self.booted(self.flavor_2), self.delete, 'DELETED', left=0
        )
        self.assertEqual(['save available', 'save removed', 'free'], steps)

    def resized(self) -> Server:
        """Return a server after an unconfirmed resize within the host."""
        server = self.act(
            self.booted(self.flavor_1),
            'resize',
            {'flavorRef': self.small_flavor('token:2')},
        )
        return self.wait_for(server, 'VERIFY_RESIZE')

    def test_resize(self) -> None:
        steps = self.interrupt_at_each_step(
            lambda: self.booted(self.flavor_1),
            lambda server: self.act(
                server, 'resize', {'flavorRef': self.small_flavor('token:2')}
            ),
            'VERIFY_RESIZE',
        )
        self.assertEqual(['claim', 'allocate'], steps)

    def test_confirm(self) -> None:
        steps = self.interrupt_at_each_step(
            self.resized,
            lambda server: self.act(server, 'confirmResize'),
            'ACTIVE',
            left=2,
        )
        self.assertEqual(['free'], steps)

    def test_revert(self) -> None:
        steps = self.interrupt_at_each_step(
            self.resized,
            lambda server: self.act(server, 'revertResize'),
            'ACTIVE',
        )
        self.assertEqual(['free'], steps)


class TwoHostsTest(Interrupted):
    """Moves between two hosts."""

    HOSTS = ('c0', 'c1')

    def setUp(self) -> None:
        super().setUp()
        self.end_guests_of_cold_migrations()

    def migrate(self, server: Server) -> Server:
        """Start to migrate a server."""
        return self.act(server, 'migrate', {'host': 'c1'})

    def migrated(self) -> Server:
        """Return a server after an unconfirmed migration."""
        server = self.migrate(self.booted(self.flavor_1))
        return self.wait_for(server, 'VERIFY_RESIZE')

    def test_migrate(self) -> None:
        steps = self.interrupt_at_each_step(
            lambda: self.booted(self.flavor_1), self.migrate, 'VERIFY_RESIZE'
        )
        self.assertEqual(['claim', 'allocate'], steps)

    def test_confirm(self) -> None:
        steps = self.interrupt_at_each_step(
            self.migrated,
            lambda server: self.act(server, 'confirmResize'),
            'ACTIVE',
            left=2,
        )
        self.assertEqual(['free'], steps)

    def test_revert(self) -> None:
        steps = self.interrupt_at_each_step(
            self.migrated,
            lambda server: self.act(server, 'revertResize'),
            'ACTIVE',
        )
        self.assertEqual(['free'], steps)
