# SPDX-License-Identifier: Apache-2.0
"""Claims in the resource tracker: what they leave, and how they fail."""

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
from pci_passthrough.nova_plugin import requests
from pci_passthrough.nova_plugin.install import bootstrap
from pci_passthrough.store import hosts
from pci_passthrough.store.devices import lookup
from pci_passthrough.store.pci_flavors import editing
from pci_passthrough.tests.nova import base

#: An instance that Nova does not know.
GHOST = 'c1f1ab3a-1a04-4d56-a0a3-8ce9a2d0e1f7'


class TrackerTest(base.NovaTest):
    """What helps to look at trackers."""

    def setUp(self) -> None:
        super().setUp()
        self.create_pci_flavor('gpu')

    def log(self) -> str:
        """Return what Nova's processes have logged."""
        text: str = self.stdlog.logger.output
        return text

    def boot_elsewhere(self, refused: list[str]) -> Mapping[str, Any]:
        """Boot, where the host first tried fails; nothing is left there.

        :param refused: gets the name of that host.
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
    """An instance from its boot to its end."""

    def test_boot_restart_and_delete(self) -> None:
        """The views agree, and Nova's own device is left alone."""
        self.start_host('c0')
        server = self.boot('gpu:2')
        ours = self.assert_guest_has('c0', server, 2)
        (request,) = self.instance(server).pci_requests.requests
        self.assertEqual(
            [(address, request.request_id) for address in ours],
            [
                (one.address, one.request_id)
                for one in self.instance(server).pci_devices
            ],
        )
        node = nova_objects.ComputeNode.get_by_nodename(
            nova_context.get_admin_context(), 'c0'
        )
        self.assertEqual(1, sum(p.count for p in node.pci_device_pools))
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
        """Nova's own tracker does nothing on such a host."""
        self.flags(device_spec=[], group='pci')
        self.start_host('c0', native=0)
        server = self.boot('gpu:2')
        self.assert_guest_has('c0', server, 2)
        self._delete_server(server)
        self.assert_clean('c0')
        self.assertEqual({}, self.rows('c0'))

    def test_tags_for_nova(self) -> None:
        """``managed`` is Nova's word; other tags do not get there."""
        self.start_host('c0', gpus=1, managed='no', status='shiny')
        server = self.boot('gpu')
        guest = self.computes['c0'].driver._host.get_guest(
            self.instance(server)
        )
        self.assertIn("managed='no'", guest.get_xml_desc())
        (row,) = self.instance(server).pci_devices
        self.assertEqual('allocated', row.status)

    def test_without_the_door_for_a_while(self) -> None:
        """Nova's own tracker deletes; what is held is found afterwards."""
        self.start_host('c0')
        kept = self.boot('gpu')
        gone = self.boot('gpu')
        door = manager.PciDevTracker
        bootstrap.uninstall()
        self.restart('c0')
        self.assertIsNot(door, manager.PciDevTracker)
        self._delete_server(gone)
        self.assertEqual(2, len(self.held('c0')))
        bootstrap.install()
        self.restart('c0')
        self.assert_guest_has('c0', kept, 1)
        self.assertEqual(1, len(self.held('c0')))
        self._delete_server(kept)
        self.assert_clean('c0')


class TestFailure(TrackerTest):
    """Claims that fail: Nova tries another host."""

    def setUp(self) -> None:
        super().setUp()
        self.start_host('c0', bus=0x81)
        self.start_host('c1', bus=0x82)
        self.first: list[str] = []

    def fail_first(
        self, method: str, error: Exception
    ) -> Callable[[str, Mapping[str, Any]], None]:
        """Return a hook that lets the first call of a method fail."""

        def fail(called: str, arguments: Mapping[str, Any]) -> None:
            hosts = arguments.get('hosts', [arguments.get('host')])
            # The scheduler asks for all hosts.
            if called == method and len(hosts) == 1 and not self.first:
                self.first += hosts
                raise error

        return fail

    def test_lost_race(self) -> None:
        """Somebody else was faster; the reason is told."""

        def be_faster(called: str, arguments: Mapping[str, Any]) -> None:
            if called == 'claim' and not self.first:
                host = arguments['host']
                self.first.append(host)
                addresses = [d.address for d in lookup.get_all(self.db, host)]
                self.pci_conductor.adopt(host, GHOST, 'x', addresses, 'test')

        self.wire.before = be_faster
        self.boot_elsewhere(self.first)
        self.assertIn('no free gpu', self.log())

    def test_conductor_away_at_the_claim(self) -> None:
        """It is not known whether it was carried out: it was."""
        self.wire.after = self.fail_first(
            'claim', oslo_messaging.MessagingTimeout('nobody answered')
        )
        self.boot_elsewhere(self.first)

    def test_conductor_away_at_the_test(self) -> None:
        """The claim's test says so."""
        self.wire.before = self.fail_first(
            'offer', oslo_messaging.MessagingTimeout('nobody answered')
        )
        self.boot_elsewhere(self.first)
        self.assertIn('Failed to claim: the devices of PCI', self.log())
        self.assertIn('no pci-passthrough-conductor answered', self.log())

    def test_spawn_fails(self) -> None:
        """The claim is aborted after it was allocated."""

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
        """What was claimed is given back at once, native devices, too."""

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

    def test_requests_of_a_nova_api_without_the_door(self) -> None:
        """The filter would refuse, too, but is not asked here."""
        filters = self.scheduler.manager.host_manager.enabled_filters
        filters[:] = [
            one for one in filters if type(one).__name__ != 'PciFlavorFilter'
        ]
        flavor_id = self.create_flavor('gpu')
        with base.replaced(requests, '_from_flavor', lambda *_: []):
            self.boot_in_vain(flavor_id=flavor_id)
        self.assertIn('has the nova-api that made them no', self.log())
        self.assertNotIn('claim', self.wire.calls)


class TestClaimId(TrackerTest):
    """A resize within the host keeps the requests of Neutron ports."""

    def test_same_request_twice(self) -> None:
        """Other devices are claimed, and each is freed by itself."""
        self.start_host('c0')
        server = self.boot('gpu')
        (old,) = self.assert_guest_has('c0', server, 1)
        instance = self.instance(server)
        tracker = self.computes['c0'].manager.rt.pci_tracker
        context = nova_context.get_admin_context()
        with base.replaced(requests, 'mover', lambda: instance.uuid):
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


class TestMending(TrackerTest):
    """What the periodic task finds."""

    def setUp(self) -> None:
        super().setUp()
        self.start_host('c0')
        self.server = self.boot('gpu')
        (self.address,) = self.assert_guest_has('c0', self.server, 1)

    def test_conductor_away_for_long(self) -> None:
        """What was freed meanwhile is told afterwards; the log is brief."""
        self.wire.is_down = True
        self.run_periodic_tasks()
        self.run_periodic_tasks()
        self.assertEqual(1, self.log().count('cannot be managed'))
        self._delete_server(self.server)
        self.assertEqual({}, self.door_rows('c0'))
        self.run_periodic_tasks()
        self.assertEqual(1, self.log().count('cannot be managed'))
        self.assertEqual(1, len(self.held('c0')))
        self.wire.is_down = False
        self.run_periodic_tasks()
        self.assertEqual({}, self.held('c0'))
        self.assertIn('answers again', self.log())

    def test_start_without_conductor(self) -> None:
        """The instances are there, and are known."""
        self.wire.is_down = True
        self.restart('c0')
        self.wire.is_down = False
        self.assert_guest_has('c0', self.server, 1)
        self._delete_server(self.server)
        self.assert_clean('c0')

    def test_held_without_a_row(self) -> None:
        """Nobody has it, so it is freed."""
        (free,) = [
            one.address
            for one in lookup.get_all(self.db, 'c0')
            if one.instance_uuid is None
        ]
        self.pci_conductor.adopt('c0', GHOST, 'request', [free], 'test')
        self.run_periodic_tasks()
        self.assert_guest_has('c0', self.server, 1)
        self.assertEqual([self.address], list(self.held('c0')))

    def test_row_and_not_held(self) -> None:
        """The instance has it, whatever an operator thought."""
        [before] = lookup.get_all(self.db, instance_uuid=self.server['id'])
        self.pci_conductor.free('c0', self.server['id'], 'test')
        self.assertEqual({}, self.held('c0'))
        self.run_periodic_tasks()
        self.assert_guest_has('c0', self.server, 1)
        [after] = lookup.get_all(self.db, instance_uuid=self.server['id'])
        self.assertEqual(before.request_id, after.request_id)
        self.assertIsNotNone(before.pci_flavor_uuid)
        self.assertEqual(before.pci_flavor_uuid, after.pci_flavor_uuid)

    def test_row_and_neither_held_nor_named(self) -> None:
        """A database was set back to a time before the PCI flavor."""
        self.pci_conductor.free('c0', self.server['id'], 'test')
        editing.delete(self.db, 'gpu')
        self.run_periodic_tasks()
        self.assert_guest_has('c0', self.server, 1)

    def test_row_and_held_by_another(self) -> None:
        """The one who has the row has the device; the claim is undone."""
        self.pci_conductor.free('c0', self.server['id'], 'test')
        other = self.boot_in_vain('gpu:2')
        self.assertIn(f'has {self.address}', self.log())
        # Whose it is, and where, is in the log and not for the project.
        fault = str(self.api.get_server(other['id'])['fault'])
        self.assertNotIn(self.server['id'], fault)
        self.assertNotIn(self.address, fault)
        self.run_periodic_tasks()
        self.assert_guest_has('c0', self.server, 1)
        self.assertEqual([self.address], list(self.held('c0')))
