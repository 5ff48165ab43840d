# SPDX-License-Identifier: Apache-2.0
"""Tests of all ways in which a move can end, and of what follows.

However a move ends: afterwards the server can be migrated, shelved, evacuated
and deleted; it has exactly the devices that its flavor and its NICs ask for,
and nobody holds any other.
"""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import dataclasses

from nova import context as nova_context
from nova.tests.functional.api import client

from pci_passthrough.tests.nova import moves

#: Devices by the flavor before and after a resize.
_RESIZES = {
    'up': (1, 2),
    'down': (2, 1),
    'from_nothing': (0, 1),
    'to_nothing': (1, 0),
    'with_nics': (1, 2),
    'migrate': (1, 1),
}


_RESIZE_ENDINGS = (
    'confirm',
    'revert',
    'claim',
    'source',
    'destination',
)
_LIVE_ENDINGS = ('complete', 'check', 'answer', 'prepare_live', 'transfer')
_EVACUATION_ENDINGS = ('complete', 'evacuation_claim', 'spawn')

_NEXT = ('evacuate', 'unshelve', 'migrate', 'live_migrate')


@dataclasses.dataclass(frozen=True)
class Case:
    """A move, how it ends, and the first operation after it."""

    move: str
    ending: str
    first: str

    def __str__(self) -> str:
        return f'{self.move}_{self.ending}_then_{self.first}'


def _cases() -> Iterator[Case]:
    """Yield all cases; each ending has another first operation per move."""
    for number, move in enumerate(_RESIZES):
        for place, ending in enumerate(_RESIZE_ENDINGS):
            yield Case(move, ending, _NEXT[(number + place) % len(_NEXT)])
    for place, ending in enumerate(_LIVE_ENDINGS):
        yield Case('live_migrate', ending, _NEXT[place % len(_NEXT)])
    for place, ending in enumerate(_EVACUATION_ENDINGS):
        yield Case('evacuate', ending, _NEXT[place % len(_NEXT)])


class EndingsTest(moves.MovesTest):
    """A test for each case."""

    def make(self, case: Case) -> moves.Server:
        """Make the move of a case, and end it; return the server."""
        if case.move == 'live_migrate':
            return self.make_live_migration(case.ending)
        if case.move == 'evacuate':
            return self.make_evacuation(case.ending)
        return self.make_resize(case.move, case.ending)

    def make_resize(self, move: str, ending: str) -> moves.Server:
        """Resize a server, or migrate it cold."""
        before, after = _RESIZES[move]
        with_nics = move == 'with_nics'
        self.start_hosts(with_nics)
        server = self.boot_with_gpus(before, with_nics)
        flavor = None if move == 'migrate' else self.gpu_flavor(after)
        if ending in moves.FAILURES:
            self.fail_to_resize(server, flavor, ending)
            return server
        if flavor is None:
            self._migrate_server(server)
        else:
            self._resize_server(server, flavor)
        if ending == 'revert':
            self._revert_resize(server)
            self.check(server, 'c0')
        else:
            self._confirm_resize(server)
            self.gpus = after
        return server

    def make_live_migration(self, ending: str) -> moves.Server:
        """Migrate a running server."""
        self.start_hosts()
        server = self.boot_with_gpus(1)
        if ending == 'complete':
            self._live_migrate(server, 'completed')
            return server
        with moves.failing(ending):
            body = {'host': None, 'block_migration': 'auto'}
            with contextlib.suppress(client.OpenStackApiException):
                self.admin_api.post_server_action(
                    server['id'], {'os-migrateLive': body}
                )
            self._wait_for_migration_status(server, ['error', 'failed'])
            self.wait_for_no_task(server)
        if self.api.get_server(server['id'])['status'] == 'ERROR':
            self.reset(server)
        self.check(server, 'c0')
        return server

    def make_evacuation(self, ending: str) -> moves.Server:
        """Evacuate a server."""
        self.start_hosts()
        server = self.boot_with_gpus(1)
        if ending == 'complete':
            self.evacuate(server)
            return server
        self.force_down('c0')
        with moves.failing(ending):
            with contextlib.suppress(client.OpenStackApiException):
                self.admin_api.post_server_action(
                    server['id'], {'evacuate': {}}
                )
            self._wait_for_migration_status(server, ['error', 'failed'])
            self.wait_for_no_task(server)
        self.start_again('c0')
        self.reset(server)
        self.check(server, 'c0')
        return server

    def check_case(self, case: Case) -> None:
        """Make a move, and everything that can follow."""
        server = self.make(case)
        first = _NEXT.index(case.first)
        by_flavor = running = self.gpus
        if case.ending == 'destination':
            # Nova gives back the former flavor, but the guest has what was
            # claimed by the new one.
            running = _RESIZES[case.move][1]
        for operation in _NEXT[first:] + _NEXT[:first]:
            if operation != 'live_migrate':
                running = by_flavor
            self.gpus = running
            self.forget_calls()
            getattr(self, operation)(server)
            self.check(server)
            self.check_asked()
        self._delete_server(server)
        self.assert_clean(*moves.HOSTS)


def _test_of(case: Case) -> Callable[[EndingsTest], None]:
    def test(self: EndingsTest) -> None:
        self.check_case(case)

    test.__doc__ = f'{case}.'
    return test


for _case in _cases():
    setattr(EndingsTest, f'test_{_case}', _test_of(_case))


class LeftBehindTest(moves.MovesTest):
    """What Nova does not clean up by itself, or late."""

    def test_server_deleted_while_nova_compute_is_down(self) -> None:
        """The device stays held until the guest has ended."""
        self.flags(running_deleted_instance_timeout=0)
        self.start_hosts()
        server = self.boot_with_gpus(1)
        self.force_down('c0')
        self._delete_server(server)
        self.restart('c0')
        self.run_periodic_tasks()
        self.assertEqual(1, len(self.held('c0')))
        self.computes['c0'].manager._cleanup_running_deleted_instances(
            nova_context.get_admin_context()
        )
        self.run_periodic_tasks()
        self.assertEqual({}, self.held('c0'))
        self.assertEqual({}, self.attachment_rows('c0'))

    def test_port_deleted_in_neutron(self) -> None:
        """Its NIC does not count when the server is evacuated."""
        self.start_hosts(with_nics=True)
        server = self.boot_with_gpus(1, with_nics=True)
        red, _ = self.ports(server)
        self.net.delete_port(red['id'])
        event = {
            'name': 'network-vif-deleted',
            'server_uuid': server['id'],
            'tag': red['id'],
        }
        self.api.create_server_external_events([event])
        self.nics = 1
        self.check(server, 'c0')
        self.forget_calls()
        self.evacuate(server)
        self.check(server)
        self.check_asked()
