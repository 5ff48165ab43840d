# SPDX-License-Identifier: Apache-2.0
"""The audit of what instances hold, against Nova's REST API and hosts."""

from pci_passthrough import audit
from pci_passthrough import nova_api
from pci_passthrough.reporting import preparation
from pci_passthrough.services import auditing
from pci_passthrough.store import ledger
from pci_passthrough.store.claims import transitions
from pci_passthrough.store.devices import lookup
from pci_passthrough.tests.nova import base
from pci_passthrough.tests.nova import rest

_GHOST = '99999999-9999-4999-8999-999999999999'


class _Servers(rest.InProcess, nova_api.Servers):
    """Asks Nova's REST API in this process."""


class AuditTest(base.NovaTest):
    def setUp(self) -> None:
        super().setUp()
        servers = _Servers()
        servers.url = self.admin_api.base_url
        self.audit = auditing.Audit(self.db, servers, preparation.Bounds())
        self.create_pci_flavor('gpu')
        self.start_host('c0')
        self.start_host('c1', bus=0x82)

    def found(self, host: str | None = None) -> list[tuple[str, str, str]]:
        return [
            (difference.host, difference.instance, difference.kind.value)
            for difference in self.audit.differences(host)
        ]

    def adopt(self, host: str, instance: str) -> str:
        """Record a device as held, and return its address."""
        address = next(
            str(device.address)
            for device in lookup.get_all(self.db, host)
            if device.instance_uuid is None
        )
        self.pci_conductor.adopt(host, instance, 'x', [address], 'test')
        return address

    def test_clean(self) -> None:
        server = self.boot('gpu:2')
        self.boot(None)
        self.assertEqual([], self.found())
        self._delete_server(server)
        self.assertEqual([], self.found())

    def test_instance_that_nova_does_not_know(self) -> None:
        server = self.boot('gpu')
        address = self.adopt('c0', _GHOST)
        expected = ('c0', _GHOST, 'unknown instance')
        self.assertEqual([expected], self.found())
        self.assertEqual([expected], self.found('c0'))
        self.assertEqual([], self.found('c1'))
        [difference] = self.audit.differences()
        self.assertTrue(self.audit.fix(difference, 'the audit'))
        self.assertEqual([], self.found())
        device = lookup.get(self.db, f'c0/{address}')
        self.assertIsNone(device.instance_uuid)
        event = ledger.history(self.db, device.uuid)[-1]
        self.assertEqual(('free', 'the audit'), (event.action, event.actor))
        self.assert_guest_has(self.host_of(server), server, 1)

    def test_other_host(self) -> None:
        server = self.boot('gpu', host='c0')
        self.adopt('c1', server['id'])
        expected = ('c1', server['id'], 'other host')
        self.assertEqual([expected], self.found())
        # The instance is asked for although it is not on this host.
        self.assertEqual([expected], self.found('c1'))
        [difference] = self.audit.differences()
        self.assertFalse(self.audit.fix(difference, 'the audit'))
        self.assertEqual([expected], self.found())

    def test_guest_whose_device_is_free(self) -> None:
        server = self.boot('gpu', host='c0')
        transitions.free(self.db, server['id'], 'test')
        self.assertEqual(
            [('c0', server['id'], 'too few devices')], self.found()
        )
        # nova-compute tells the conductor what its guest has.
        self.run_periodic_tasks()
        self.assertEqual([], self.found())

    def test_what_has_changed_meanwhile_is_no_difference(self) -> None:
        self.adopt('c0', _GHOST)
        [difference] = self.audit.differences()
        look_at = self.audit._look_at

        def end_first(instances):  # type: ignore[no-untyped-def]
            transitions.free(self.db, _GHOST, 'test')
            return look_at(instances)

        self.patch(self.audit, '_look_at', end_first)
        self.assertEqual([], self.audit.differences())
        self.assertFalse(self.audit.fix(difference, 'the audit'))

    def test_moves(self) -> None:
        """While Nova moves a server, it holds devices on two hosts."""
        server = self.boot('gpu', host='c0')
        self._migrate_server(server)
        server = self._wait_for_state_change(server, 'VERIFY_RESIZE')
        self.assertEqual(2, len(self.held('c0')) + len(self.held('c1')))
        self.assertEqual([], self.found())
        self._confirm_resize(server)
        self.assertEqual([], self.found())

    def test_pages(self) -> None:
        """Nova gives fewer servers in a page than were asked for."""
        self.flags(max_limit=2, group='api')
        servers = [self.boot(None) for _ in range(3)]
        asked = self.audit._servers.all()
        self.assertEqual({s['id'] for s in servers}, set(asked))
        self.assertIsInstance(asked[servers[0]['id']], audit.Server)
