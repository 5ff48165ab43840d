# SPDX-License-Identifier: Apache-2.0
"""Moves of instances with devices that are no PCI functions."""

from collections.abc import Mapping
from typing import Any

import oslo_messaging

from pci_passthrough.nova_plugin.compute import guest_start
from pci_passthrough.tests.nova import base
from pci_passthrough.tests.nova import generic
from pci_passthrough.tests.nova import moves

_ALL = 'slice:1,token:1,gpu:1'


class MovesTest(generic.GenericTest):
    """Two hosts, whose devices have different addresses."""

    def setUp(self) -> None:
        super().setUp()
        self.end_guests_of_cold_migrations()
        self.start_generic_host('c0', 0)
        self.start_generic_host('c1', 1)

    def assert_only_on(
        self, host: str, server: Mapping[str, Any], usb: int = 1
    ) -> list[str]:
        """Check that a server has its devices on one host only."""
        (other,) = {'c0', 'c1'} - {host}
        self.assertEqual(host, self.host_of(server))
        self.assert_clean(other)
        held = self.assert_has(host, server, 1, 1, usb)
        self.run_periodic_tasks()
        self.assertEqual(held, self.assert_has(host, server, 1, 1, usb))
        self.assertEqual({}, self.held(other))
        return held


class ColdMoveTest(MovesTest):
    """Cold migrations and resizes between two hosts."""

    def test_migrate_and_confirm(self) -> None:
        server = self.boot(_ALL, host='c0')
        before = self.assert_only_on('c0', server)
        self._migrate_server(server)
        self.assertEqual(before, self.assert_holds('c0', server, 1, 1, 1))
        self.run_periodic_tasks()
        self.assertEqual(before, self.assert_holds('c0', server, 1, 1, 1))
        self.assert_has('c1', server, 1, 1, 1)
        self._confirm_resize(server)
        self.assert_only_on('c1', server)
        self._delete_server(server)
        self.assert_clean('c0', 'c1')

    def test_migrate_and_revert(self) -> None:
        server = self.boot(_ALL, host='c0')
        before = self.assert_only_on('c0', server)
        self._migrate_server(server)
        self.assert_has('c1', server, 1, 1, 1)
        self._revert_resize(server)
        self.assertEqual(before, self.assert_only_on('c0', server))

    def test_resize(self) -> None:
        server = self.boot(_ALL, host='c0')
        self._resize_server(server, self.create_flavor(f'{_ALL},token:1'))
        self.assert_has('c1', server, 1, 1, 2)
        self._confirm_resize(server)
        self.assert_only_on('c1', server, usb=2)
        self._resize_server(server, self.create_flavor(None))
        self.assertEqual([], self.elements(server))
        self.assert_holds('c1', server, 1, 1, 2)
        self._revert_resize(server)
        self.assert_only_on('c1', server, usb=2)
        self._resize_server(server, self.create_flavor(None))
        self._confirm_resize(server)
        self.assert_clean('c0', 'c1')

    def test_delete_before_the_confirmation(self) -> None:
        server = self.boot(_ALL, host='c0')
        self._migrate_server(server)
        self._delete_server(server)
        self.assert_clean('c0', 'c1')

    def test_destination_fails(self) -> None:
        """The devices of the failed destination are freed."""
        server = self.boot(_ALL, host='c0')
        before = self.assert_only_on('c0', server)
        for phase in ('claim', 'source', 'destination'):
            with moves.failing(phase):
                self.admin_api.api_post(
                    f'/servers/{server["id"]}/action',
                    {'migrate': None},
                    check_response_status=False,
                )
                self._wait_for_migration_status(server, ['error'])
            if self.api.get_server(server['id'])['status'] == 'ERROR':
                self.admin_api.post_server_action(
                    server['id'], {'os-resetState': {'state': 'active'}}
                )
                self.run_periodic_tasks()
                self._reboot_server(server, hard=True)
            host = self.host_of(server)
            after = self.assert_only_on(host, server)
            if phase != 'destination':
                self.assertEqual(before, after, phase)


class SameHostTest(generic.GenericTest):
    """Resizes within one host: the guest gets the right devices."""

    def setUp(self) -> None:
        super().setUp()
        self.flags(allow_resize_to_same_host=True)
        self.start_generic_host('c0')

    def test_confirm_and_revert(self) -> None:
        server = self.boot('slice:1,token:1')
        old = self.assert_has('c0', server, 0, 1, 1)
        self._resize_server(server, self.create_flavor('slice:2,token:1'))
        self.assert_holds('c0', server, 0, 3, 2)
        new = sorted(address for _, address in self.elements(server))
        self.assertEqual(3, len(new))
        self.assertEqual(set(), set(old) & set(new))
        self.run_periodic_tasks()
        self._confirm_resize(server)
        self.assertEqual(new, self.assert_has('c0', server, 0, 2, 1))
        self._resize_server(server, self.create_flavor('slice:1,token:1'))
        self.assert_holds('c0', server, 0, 3, 2)
        self._revert_resize(server)
        self.assertEqual(new, self.assert_has('c0', server, 0, 2, 1))
        self.run_periodic_tasks()
        self.assertEqual(new, self.assert_has('c0', server, 0, 2, 1))
        self._delete_server(server)
        self.assert_clean('c0')

    def test_lost_answer_of_the_claim(self) -> None:
        server = self.boot('slice:1')
        held = self.assert_has('c0', server, mdev=1)
        self.wire.after = self._lose_claim
        self.admin_api.api_post(
            f'/servers/{server["id"]}/action',
            {'resize': {'flavorRef': self.create_flavor('slice:2')}},
            check_response_status=False,
        )
        self._wait_for_migration_status(server, ['error'])
        self.wire.after = lambda *_: None
        self.run_periodic_tasks()
        self.assertEqual(held, self.assert_has('c0', server, mdev=1))

    def _lose_claim(self, method: str, _arguments: Any) -> None:
        if method == 'claim':
            raise oslo_messaging.MessagingTimeout('nobody answered')


class OtherMovesTest(MovesTest):
    """Evacuation, shelving, rebuild, and the refused live migration."""

    def test_evacuate(self) -> None:
        server = self.boot(_ALL, host='c0')
        self.computes['c0'].driver._host.get_connection()._vms.clear()
        self.force_down('c0')
        self._evacuate_server(server)
        self.assert_holds('c0', server, 1, 1, 1)
        self._start_server(server)
        self.assert_has('c1', server, 1, 1, 1)
        self.restart('c0')
        self.assert_only_on('c1', server)

    def test_shelve(self) -> None:
        server = self.boot(_ALL, host='c0')
        self._shelve_server(server)
        self.assert_clean('c0', 'c1')
        self._unshelve_server(server)
        self.assert_only_on(self.host_of(server), server)

    def test_unshelved_beside_a_last_answer(self) -> None:
        """A device that another instance got meanwhile is not given away."""
        self.disable_host('c1')
        server = self.boot('token:1', host='c0')
        (old,) = self.assert_has('c0', server, usb=1)
        self._shelve_server(server)
        other = self.boot('token:1')
        self.assertEqual([old], self.assert_has('c0', other, usb=1))
        self._unshelve_server(server)
        self.patch(guest_start._known, '_silent_until', float('inf'))
        self.hard_reboot(server)
        (new,) = self.assert_has('c0', server, usb=1)
        self.assertNotEqual(old, new)

    def test_rebuild(self) -> None:
        server = self.boot(_ALL, host='c0')
        before = self.assert_only_on('c0', server)
        self._rebuild_server(server, 'a2459075-d96c-40d5-893e-577ff92e721c')
        self.assertEqual(before, self.assert_only_on('c0', server))

    def test_live_migration_is_refused(self) -> None:
        self.create_pci_flavor('lm', {**base.GPU, 'e.live_migratable': 'true'})
        for requests in ('token:1', 'slice:1', 'gpu:1,token:1'):
            server = self.boot(requests, host='c0')
            before = self.held('c0')
            # Nova's API casts; in these tests the error comes back.
            self.refused(
                self.admin_api.post_server_action,
                server['id'],
                {'os-migrateLive': {'host': 'c1', 'block_migration': 'auto'}},
            )
            self._wait_for_migration_status(server, ['error'])
            self.assertEqual(before, self.held('c0'))
            self.assertEqual({}, self.held('c1'))
            self.assertEqual('c0', self.host_of(server))
            self._delete_server(server)
        refusal = 'does not explicitly request live-migratable devices'
        self.assertEqual(3, self.log().count(refusal))
