# SPDX-License-Identifier: Apache-2.0
"""Tests of claims in the resource tracker, and of repairs."""

from collections.abc import Callable
from collections.abc import Mapping
from typing import Any

from nova import context as nova_context
from nova import objects as nova_objects
from nova.pci import manager
from nova.tests.fixtures import libvirt as fakelibvirt
from nova.virt.libvirt import driver
import oslo_messaging

import pci_passthrough
from pci_passthrough import store
from pci_passthrough.nova_plugin import flavor_requests
from pci_passthrough.nova_plugin.install import bootstrap
from pci_passthrough.store import hosts
from pci_passthrough.store import models
from pci_passthrough.store.devices import lookup
from pci_passthrough.store.pci_flavors import editing
from pci_passthrough.tests.nova import base

#: An instance that Nova does not know.
GHOST = 'c1f1ab3a-1a04-4d56-a0a3-8ce9a2d0e1f7'


class TrackerTest(base.NovaTest):
    """A cloud with a PCI flavor."""

    def setUp(self) -> None:
        super().setUp()
        self.create_pci_flavor('gpu')

    def boot_elsewhere(self, refused: list[str]) -> Mapping[str, Any]:
        """Boot a server whose first host fails; check that nothing is left.

        :param refused: list that gets the name of the first host.
        """
        server: Mapping[str, Any] = self.boot('gpu:2')
        other = {'c0': 'c1', 'c1': 'c0'}[refused[0]]
        self.assertEqual(other, self.host_of(server))
        self.assert_guest_has(other, server, 2)
        self.run_periodic_tasks()
        self.assert_clean(refused[0])
        self.assert_guest_has(other, server, 2)
        return server


class TestLife(TrackerTest):
    """An instance with devices, from boot to delete."""

    def test_boot_restart_and_delete(self) -> None:
        """The views agree, and the native device stays unchanged."""
        self.start_host('c0')
        server = self.boot('gpu:2')
        addresses = self.assert_guest_has('c0', server, 2)
        (request,) = self.instance(server).pci_requests.requests
        self.assertEqual(
            [(address, request.request_id) for address in addresses],
            [
                (row.address, row.request_id)
                for row in self.instance(server).pci_devices
            ],
        )
        node = nova_objects.ComputeNode.get_by_nodename(
            nova_context.get_admin_context(), 'c0'
        )
        self.assertEqual(1, sum(pool.count for pool in node.pci_device_pools))
        (host,) = hosts.get_all(self.db, store.Limits(600, 180))
        self.assertEqual(pci_passthrough.version(), host.tracker_version)
        before = self.rows('c0')
        self.restart('c0')
        self.assertEqual(before, self.rows('c0'))
        self.assertNotIn('Unable to remove device', self.log())
        self.assert_guest_has('c0', server, 2)
        self._reboot_server(server, hard=True)
        self.assert_guest_has('c0', server, 2)
        self._delete_server(server)
        self.assert_clean('c0')
        self.assertEqual(
            {'0000:81:00.0': ('available', None)}, self.rows('c0')
        )

    def test_host_without_native_devices(self) -> None:
        """Nova's tracker does nothing on such a host."""
        self.flags(device_spec=[], group='pci')
        self.start_host('c0', native=0)
        server = self.boot('gpu:2')
        self.assert_guest_has('c0', server, 2)
        self._delete_server(server)
        self.assert_clean('c0')
        self.assertEqual({}, self.rows('c0'))

    def test_tags_for_nova(self) -> None:
        """Nova's rows get the tag ``managed``, and not the other tags."""
        self.start_host('c0', gpus=1, managed='no', status='shiny')
        server = self.boot('gpu')
        guest = self.computes['c0'].driver._host.get_guest(
            self.instance(server)
        )
        self.assertIn("managed='no'", guest.get_xml_desc())
        (row,) = self.instance(server).pci_devices
        self.assertEqual('allocated', row.status)

    def test_without_the_plugin_for_a_while(self) -> None:
        """Nova's tracker frees a device; its claim is freed later."""
        self.start_host('c0')
        kept = self.boot('gpu')
        gone = self.boot('gpu')
        replacement = manager.PciDevTracker
        bootstrap.uninstall()
        self.restart('c0')
        self.assertIsNot(replacement, manager.PciDevTracker)
        self._delete_server(gone)
        self.assertEqual(2, len(self.held('c0')))
        bootstrap.install()
        self.restart('c0')
        self.assert_guest_has('c0', kept, 1)
        self.assertEqual(1, len(self.held('c0')))
        self._delete_server(kept)
        self.assert_clean('c0')


class TestFailure(TrackerTest):
    """A claim fails, and Nova tries another host."""

    def setUp(self) -> None:
        super().setUp()
        self.start_host('c0', bus=0x81)
        self.start_host('c1', bus=0x82)
        self.first: list[str] = []

    def fail_first(
        self, method: str, error: Exception
    ) -> Callable[[str, Mapping[str, Any]], None]:
        """Return a hook that fails in a method's calls for the first host."""

        def fail(called: str, arguments: Mapping[str, Any]) -> None:
            hosts = arguments.get('hosts', [arguments.get('host')])
            # The scheduler's calls are for all hosts.
            if called == method and len(hosts) == 1:
                self.first[:] = self.first or hosts
                if hosts == self.first:
                    raise error

        return fail

    def test_lost_race(self) -> None:
        """Another claim was faster; the log has the reason."""

        def adopt_first(called: str, arguments: Mapping[str, Any]) -> None:
            if called == 'claim' and not self.first:
                host = arguments['host']
                self.first.append(host)
                addresses = [
                    device.address for device in lookup.get_all(self.db, host)
                ]
                self.pci_conductor.adopt(host, GHOST, 'x', addresses, 'test')

        self.wire.before = adopt_first
        self.boot_elsewhere(self.first)
        self.assertIn('no free gpu', self.log())

    def test_conductor_away_at_the_claim(self) -> None:
        """The answer of a successful claim is lost."""
        self.wire.after = self.fail_first(
            'claim', oslo_messaging.MessagingTimeout('nobody answered')
        )
        self.boot_elsewhere(self.first)

    def test_conductor_away_at_the_test(self) -> None:
        """The test of the claim has the reason."""
        self.wire.before = self.fail_first(
            'offer', oslo_messaging.MessagingTimeout('nobody answered')
        )
        self.boot_elsewhere(self.first)
        self.assertIn('Failed to claim: the devices of PCI', self.log())
        self.assertIn('no pci-passthrough-conductor answered', self.log())

    def test_spawn_fails(self) -> None:
        """A claim is aborted after the devices were allocated."""

        def spawn(compute: Any, *args: Any, **kwargs: Any) -> Any:
            if not self.first:
                self.first.append(compute._host.get_hostname())
                raise fakelibvirt.make_libvirtError(
                    fakelibvirt.libvirtError,
                    'no such device',
                    error_code=fakelibvirt.VIR_ERR_INTERNAL_ERROR,
                )
            return original(compute, *args, **kwargs)

        original = driver.LibvirtDriver._create_guest
        with base.replaced(driver.LibvirtDriver, '_create_guest', spawn):
            self.boot_elsewhere(self.first)

    def test_row_cannot_be_saved(self) -> None:
        """All claimed devices are freed at once, native ones, too."""

        def save(row: Any) -> None:
            if 'pci_passthrough_device' in row.extra_info and len(rows) < 2:
                rows.append(row)
                if len(rows) == 2:
                    raise RuntimeError('the database is away')
            original(row)

        rows: list[Any] = []
        original = nova_objects.PciDevice.save
        flavor_id = self.create_flavor(
            'gpu:2', pci_passthrough__alias='native:1'
        )
        with base.replaced(nova_objects.PciDevice, 'save', save):
            server = self.boot(flavor_id=flavor_id)
        self.assertEqual(1, self.wire.calls.count('abort'))
        (other,) = {'c0', 'c1'} - {self.host_of(server)}
        self.run_periodic_tasks()
        self.assertEqual({('available', None)}, set(self.rows(other).values()))
        self.assertEqual({}, self.held(other))

    def test_requests_of_a_nova_api_without_the_plugin(self) -> None:
        """The test of the claim refuses; the filter is switched off here."""
        filters = self.scheduler.manager.host_manager.enabled_filters
        filters[:] = [
            enabled
            for enabled in filters
            if type(enabled).__name__ != 'PciFlavorFilter'
        ]
        flavor_id = self.create_flavor('gpu')
        with base.replaced(flavor_requests, '_maker', lambda *_: None):
            self.boot_in_vain(flavor_id=flavor_id)
        self.assertIn(
            'a nova-api without pci_passthrough has made them', self.log()
        )
        self.assertNotIn('claim', self.wire.calls)


class TestClaimId(TrackerTest):
    """Ids of claims: a resize within the host keeps requests of ports."""

    def test_same_request_twice(self) -> None:
        """A further device is claimed for the request, and freed alone."""
        self.start_host('c0')
        server = self.boot('gpu')
        (old,) = self.assert_guest_has('c0', server, 1)
        instance = self.instance(server)
        tracker = self.computes['c0'].manager.rt.pci_tracker
        context = nova_context.get_admin_context()
        with base.replaced(
            flavor_requests, 'moving_instance_uuid', lambda: instance.uuid
        ):
            (row,) = tracker.claim_instance(
                context, instance.pci_requests, None
            )
        tracker.allocate_instance(instance)
        tracker.save(context)
        self.assertEqual(
            {old, row.address}, set(self.assert_consistent('c0', server, 2))
        )
        self.assertEqual(
            instance.pci_requests.requests[0].request_id, row.request_id
        )
        tracker.free_device(row, instance)
        tracker.save(context)
        self.assertEqual([old], self.assert_guest_has('c0', server, 1))


class TestRepair(TrackerTest):
    """Repairs by the periodic task."""

    def setUp(self) -> None:
        super().setUp()
        self.start_host('c0')
        self.server = self.boot('gpu')
        (self.address,) = self.assert_guest_has('c0', self.server, 1)

    def test_conductor_away_for_long(self) -> None:
        """Claims are freed after an outage; the outage is logged once."""
        self.wire.is_down = True
        self.run_periodic_tasks()
        self.run_periodic_tasks()
        self.assertEqual(1, self.log().count('cannot be managed'))
        self._delete_server(self.server)
        self.assertEqual({}, self.attachment_rows('c0'))
        self.run_periodic_tasks()
        self.assertEqual(1, self.log().count('cannot be managed'))
        self.assertEqual(1, len(self.held('c0')))
        self.wire.is_down = False
        self.run_periodic_tasks()
        self.assertEqual({}, self.held('c0'))
        self.assertIn('answers again', self.log())

    def test_start_without_conductor(self) -> None:
        """A restart without conductor keeps the attachments."""
        self.wire.is_down = True
        self.restart('c0')
        self.wire.is_down = False
        self.assert_guest_has('c0', self.server, 1)
        self._delete_server(self.server)
        self.assert_clean('c0')

    def test_held_without_a_row(self) -> None:
        """A claim without a row is freed."""
        (free,) = [
            device.address
            for device in lookup.get_all(self.db, 'c0')
            if device.instance_uuid is None
        ]
        self.pci_conductor.adopt('c0', GHOST, 'request', [free], 'test')
        self.run_periodic_tasks()
        self.assert_guest_has('c0', self.server, 1)
        self.assertEqual([self.address], list(self.held('c0')))
        self.assertEqual(['repair-free'], self.repairs('c0'))

    def test_row_and_not_held(self) -> None:
        """A device that an operator freed by mistake is held again."""
        [before] = lookup.get_all(self.db, instance_uuid=self.server['id'])
        self.pci_conductor.free('c0', self.server['id'], 'test')
        self.assertEqual({}, self.held('c0'))
        self.run_periodic_tasks()
        self.assert_guest_has('c0', self.server, 1)
        [after] = lookup.get_all(self.db, instance_uuid=self.server['id'])
        self.assertEqual(before.request_id, after.request_id)
        self.assertIsNotNone(before.pci_flavor_uuid)
        self.assertEqual(before.pci_flavor_uuid, after.pci_flavor_uuid)
        project = self.instance(self.server).project_id
        self.assertEqual(
            (project, project), (before.project_id, after.project_id)
        )
        self.assertEqual(['repair-adopt'], self.repairs('c0'))

    def test_project_that_no_conductor_knows(self) -> None:
        """The device is held since before the conductor's upgrade."""
        with self.db.write() as connection:
            connection.execute(
                models.pci_devices.update(), {'project_id': None}
            )
        self.run_periodic_tasks()
        [held] = lookup.get_all(self.db, instance_uuid=self.server['id'])
        self.assertEqual(
            self.instance(self.server).project_id, held.project_id
        )
        self.assertEqual([], self.repairs('c0'))

    def test_row_and_neither_held_nor_named(self) -> None:
        """The database was restored from a time before the PCI flavor."""
        self.pci_conductor.free('c0', self.server['id'], 'test')
        editing.delete(self.db, 'gpu')
        self.run_periodic_tasks()
        self.assert_guest_has('c0', self.server, 1)

    def test_row_and_held_by_another(self) -> None:
        """The instance with the row keeps the device; the claim is aborted."""
        self.pci_conductor.free('c0', self.server['id'], 'test')
        other = self.boot_in_vain('gpu:2')
        self.assertIn(f'has {self.address}', self.log())
        # The log has owner and address; the project must not see them.
        fault = str(self.api.get_server(other['id'])['fault'])
        self.assertNotIn(self.server['id'], fault)
        self.assertNotIn(self.address, fault)
        self.run_periodic_tasks()
        self.assert_guest_has('c0', self.server, 1)
        self.assertEqual([self.address], list(self.held('c0')))
