# SPDX-License-Identifier: Apache-2.0
"""Tests of moves: devices are claimed on one host and freed on the other."""

from collections.abc import Mapping
from typing import Any

from nova import context as nova_context
from nova import objects as nova_objects
from nova.conductor.tasks import live_migrate
from nova.db.main import api as nova_db
from nova.virt.libvirt import driver

from pci_passthrough.tests.nova import base

#: Another image than that of the servers.
_IMAGE = 'a2459075-d96c-40d5-893e-577ff92e721c'


class MovesTest(base.NovaTest):
    """Two hosts with two devices each, whose addresses differ."""

    def setUp(self) -> None:
        super().setUp()
        self.create_pci_flavor('gpu')

    def two_hosts(self, **tags: Any) -> None:
        self.start_host('c0', bus=0x81, **tags)
        self.start_host('c1', bus=0x82, **tags)


class TestColdMoves(MovesTest):
    """Resize and cold migration, confirmed and reverted."""

    def test_migrate_and_confirm(self) -> None:
        """Devices of both hosts are held until the move is confirmed."""
        self.two_hosts()
        server = self.boot('gpu:2', host='c0')
        before = self.assert_guest_has('c0', server, 2)
        server = self._migrate_server(server)
        self.assertEqual('c1', self.host_of(server))
        self.assertEqual(before, self.assert_consistent('c0', server, 2))
        self.assert_guest_has('c1', server, 2)
        self.run_periodic_tasks()
        self.assertEqual(before, self.assert_consistent('c0', server, 2))
        self.assert_guest_has('c1', server, 2)
        self._confirm_resize(server)
        self.assert_clean('c0')
        self.assert_guest_has('c1', server, 2)
        self.run_periodic_tasks()
        self.assert_guest_has('c1', server, 2)
        self._delete_server(server)
        self.assert_clean('c0', 'c1')

    def test_migrate_and_revert(self) -> None:
        """The server keeps its old devices."""
        self.two_hosts()
        server = self.boot('gpu:2', host='c0')
        before = self.assert_guest_has('c0', server, 2)
        server = self._migrate_server(server)
        self.assert_guest_has('c1', server, 2)
        self._revert_resize(server)
        self.assertEqual('c0', self.host_of(server))
        self.assertEqual(before, self.assert_guest_has('c0', server, 2))
        self.assert_clean('c1')
        self.run_periodic_tasks()
        self.assertEqual(before, self.assert_guest_has('c0', server, 2))
        self._delete_server(server)
        self.assert_clean('c0', 'c1')

    def test_resize_to_devices_and_back(self) -> None:
        """A server is resized from no device to two, and back."""
        self.two_hosts()
        plain = self.create_flavor(None)
        server = self.boot(flavor_id=plain, host='c0')
        self._resize_server(server, self.create_flavor('gpu:2'))
        self.assertEqual('c1', self.host_of(server))
        self.assert_guest_has('c1', server, 2)
        self._confirm_resize(server)
        self._resize_server(server, plain)
        self.assertEqual([], self.hostdevs('c0', server))
        self.assert_consistent('c1', server, 2)
        self._revert_resize(server)
        self.assert_guest_has('c1', server, 2)
        self._resize_server(server, plain)
        self._confirm_resize(server)
        self.assert_clean('c0', 'c1')

    def test_resize_within_the_host(self) -> None:
        """Old and new devices are on one host; the right ones are freed."""
        self.flags(allow_resize_to_same_host=True)
        self.start_host('c0', gpus=3)
        server = self.boot('gpu:1')
        old = set(self.assert_guest_has('c0', server, 1))
        self._resize_server(server, self.create_flavor('gpu:2'))
        self.assertEqual(3, len(self.held('c0')))
        new = set(self.hostdevs('c0', server))
        self.assertEqual(2, len(new))
        self.assertEqual(set(), old & new)
        self.run_periodic_tasks()
        self.assert_consistent('c0', server, 3)
        self._confirm_resize(server)
        self.assertEqual(new, set(self.assert_guest_has('c0', server, 2)))
        self._resize_server(server, self.create_flavor('gpu:1'))
        self.assertEqual(3, len(self.held('c0')))
        self._revert_resize(server)
        self.assertEqual(new, set(self.assert_guest_has('c0', server, 2)))
        self._delete_server(server)
        self.assert_clean('c0')


class TestOtherMoves(MovesTest):
    """Evacuation, live migration, shelving and rebuild."""

    def test_evacuate(self) -> None:
        """The devices of the dead host are freed at its restart."""
        self.two_hosts()
        server = self.boot('gpu:2', host='c0')
        self.force_down('c0')
        self._evacuate_server(server)
        self.assertEqual('c1', self.host_of(server))
        self.assert_consistent('c0', server, 2)
        self.assert_guest_has('c1', server, 2)
        self.restart('c0')
        self.assert_clean('c0')
        self.assert_guest_has('c1', server, 2)
        self._delete_server(server)
        self.assert_clean('c0', 'c1')

    def start_migratable_hosts(self, **extra_specs: Any) -> Mapping[str, Any]:
        """Start two hosts, and a server on c0 that can be live migrated."""
        self.flags(device_detach_timeout='1', group='libvirt')
        self.create_pci_flavor('lm', {**base.GPU, 'e.live_migratable': 'true'})
        self.two_hosts(live_migratable='true')
        flavor = self.create_flavor('lm:1', **extra_specs)
        server: Mapping[str, Any] = self.boot(flavor_id=flavor, host='c0')
        return server

    def test_live_migrate_with_numa(self) -> None:
        """Nova makes a move claim; the requests stay the same."""
        self.flags(cpu_dedicated_set='0-7', group='compute')
        server = self.start_migratable_hosts(hw__cpu_policy='dedicated')
        before = self.instance(server).pci_requests.requests[0].request_id
        self._live_migrate(server, 'completed')
        there = self.assert_guest_has('c1', server, 1)
        [request] = self.instance(server).pci_requests.requests
        self.assertEqual(before, request.request_id)
        self.restart('c1')
        self.run_periodic_tasks()
        self.assertEqual(there, self.assert_guest_has('c1', server, 1))
        # Nova knows the new device of each old one.
        self._live_migrate(server, 'completed')
        self.assert_guest_has('c0', server, 1)
        self.assert_clean('c1')

    def test_periodic_task_before_nova_knows_the_destination(self) -> None:
        """Devices that are claimed for a live migration stay claimed."""
        server = self.start_migratable_hosts()
        check = live_migrate.LiveMigrationTask._call_livem_checks_on_host
        claimed = []

        def late(*args: Any, **kwargs: Any) -> Any:
            answer = check(*args, **kwargs)
            claimed.append(self.held('c1'))
            self.run_periodic_tasks()
            claimed.append(self.held('c1'))
            return answer

        with base.replaced(
            live_migrate.LiveMigrationTask,
            '_call_livem_checks_on_host',
            late,
        ):
            self._live_migrate(server, 'completed')
        before, after = claimed
        self.assertEqual(1, len(before))
        self.assertEqual(before, after)
        self.assert_guest_has('c1', server, 1)
        self.assert_clean('c0')

    def test_live_migrate(self) -> None:
        """The request keeps its id, and has devices on two hosts meanwhile."""
        server = self.start_migratable_hosts()
        source = self.assert_guest_has('c0', server, 1)
        self._live_migrate(server, 'completed')
        self.assertEqual('c1', self.host_of(server))
        self.assert_clean('c0')
        self.assertNotEqual(source, self.assert_guest_has('c1', server, 1))
        self.run_periodic_tasks()
        self.assert_clean('c0')
        self.assert_guest_has('c1', server, 1)
        # And back: the request had this claim id on c0 before.
        self._live_migrate(server, 'completed')
        self.assertEqual(source, self.assert_guest_has('c0', server, 1))
        self.assert_clean('c1')

    def test_live_migration_fails(self) -> None:
        """Nova's periodic task frees the claimed devices."""
        server = self.start_migratable_hosts()
        source = self.assert_guest_has('c0', server, 1)

        def fail(*_args: Any, **_kwargs: Any) -> None:
            claimed = {status for status, _ in self.held('c1').values()}
            self.assertEqual({'claimed'}, claimed)
            raise RuntimeError('the guest cannot be migrated')

        with base.replaced(driver.LibvirtDriver, 'pre_live_migration', fail):
            self._live_migrate(server, 'failed')
        self.run_periodic_tasks()
        self.assertEqual({}, self.held('c1'))
        self.assertEqual({}, self.attachment_rows('c1'))
        self.assertEqual('c0', self.host_of(server))
        self.assertEqual(source, self.assert_guest_has('c0', server, 1))

    def test_live_migration_that_fails_late(self) -> None:
        """Nova's periodic task has allocated the claimed devices."""
        server = self.start_migratable_hosts()
        source = self.assert_guest_has('c0', server, 1)

        def fail(*_args: Any, **_kwargs: Any) -> None:
            self.run_periodic_tasks()
            self.assert_consistent('c1', server, 1)
            raise RuntimeError('the guest cannot be migrated')

        with base.replaced(driver.LibvirtDriver, 'pre_live_migration', fail):
            self._live_migrate(server, 'failed')
        # Before the next periodic task: the claim that is left does no harm.
        self._live_migrate(server, 'completed')
        self.assertEqual('c1', self.host_of(server))
        self.assert_clean('c0')
        self.run_periodic_tasks()
        self.assertNotEqual(source, self.assert_guest_has('c1', server, 1))

    def test_shelve_and_unshelve(self) -> None:
        """A shelved server holds nothing; its rows do not come back."""
        self.two_hosts()
        server = self.boot('gpu:2', host='c0')
        self._shelve_server(server)
        self.assert_clean('c0', 'c1')
        self.assertEqual([], self.deleted_rows_of(server))
        self.disable_host('c0')
        self._unshelve_server(server)
        self.assertEqual('c1', self.host_of(server))
        self.assert_guest_has('c1', server, 2)
        self._delete_server(server)
        self.assert_clean('c0', 'c1')

    def deleted_rows_of(self, server: Mapping[str, Any]) -> list[Any]:
        """Return deleted rows that ``Instance.pci_devices`` would contain."""
        context = nova_context.get_admin_context(read_deleted='only')
        rows: list[Any] = []
        for cell in nova_objects.CellMappingList.get_all(context):
            with nova_context.target_cell(context, cell) as in_cell:
                rows += nova_db.pci_device_get_all_by_instance_uuid(
                    in_cell, server['id']
                )
        return rows

    def test_rebuild(self) -> None:
        """A rebuilt server keeps its devices, and nothing is claimed."""
        self.start_host('c0')
        server = self.boot('gpu:2')
        before = self.assert_guest_has('c0', server, 2)
        self.wire.calls.clear()
        self._rebuild_server(server, _IMAGE)
        self.assertEqual(before, self.assert_guest_has('c0', server, 2))
        self.assertNotIn('claim', self.wire.calls)
