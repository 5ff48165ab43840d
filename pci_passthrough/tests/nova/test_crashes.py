# SPDX-License-Identifier: Apache-2.0
"""Interrupts operations at each step: nova-compute ends, or RPC calls fail.

A step is a write: an attachment that Nova saves, or a call by which the
conductor changes a claim. An operation is run once to count its steps, and
once more for each step, to be interrupted there.
"""

from collections.abc import Callable
from collections.abc import Mapping
import itertools
from typing import Any

from nova.objects import pci_device
from nova.tests.functional.api import client
import oslo_messaging

from pci_passthrough.nova_plugin.compute import attachment
from pci_passthrough.tests.nova import base
from pci_passthrough.tests.nova import wire

#: Calls by which the conductor changes claims.
_WRITES = ('abort', 'adopt', 'allocate', 'claim', 'free')

Server = Mapping[str, Any]


class Steps:
    """Counts the steps of an operation; a host can crash after one of them.

    :param test: the test with the conductor and the hosts.
    :param last: number of steps before the crash; None means no crash.
    :ivar seen: the steps so far.
    :ivar at: the host that crashed.
    """

    def __init__(self, test: base.NovaTest, last: int | None = None) -> None:
        self._test = test
        self._last = last
        self._nodes = {
            compute.manager.rt.compute_nodes[host].id: host
            for host, compute in test.computes.items()
        }
        self.crash = base.Crash()
        self.seen: list[str] = []
        self.at: str | None = None

    def __enter__(self) -> 'Steps':
        to = self._test.wire
        self._originals = pci_device.PciDevice.save, to.before, to.after
        pci_device.PciDevice.save = self._save(pci_device.PciDevice.save)
        to.before = self._before_call
        to.after = self._after_call
        return self

    def __exit__(self, *_error: object) -> None:
        to = self._test.wire
        pci_device.PciDevice.save, to.before, to.after = self._originals

    def _save(self, original: Callable[[Any], None]) -> Callable[[Any], None]:
        def save(row: Any) -> None:
            if not attachment.is_attachment(row):
                return original(row)
            host = self._nodes[row.compute_node_id]
            status = row.status
            self._begin(host)
            original(row)
            return self._end(host, f'save {status}')

        return save

    def _before_call(self, method: str, arguments: Mapping[str, Any]) -> None:
        if method in _WRITES:
            self._begin(arguments['host'])

    def _after_call(self, method: str, arguments: Mapping[str, Any]) -> None:
        if method in _WRITES:
            self._end(arguments['host'], method)

    def _begin(self, host: str) -> None:
        if self._last == 0 or self.at == host:
            self._crash(host)

    def _end(self, host: str, step: str) -> None:
        self.seen.append(step)
        if len(self.seen) == self._last or self.at == host:
            self._crash(host)

    def _crash(self, host: str) -> None:
        self.at = host
        self.crash()


class Outage:
    """Stops the conductor during one of an operation's calls.

    :param to: the transport to the conductor.
    :param call: number of the first lost call that changes a claim, from 0.
    :param is_done: whether that call is executed, and only its answer lost.
    """

    def __init__(self, to: wire.Wire, call: int, is_done: bool) -> None:
        self._wire = to
        self._left = call
        self._is_done = is_done

    def __enter__(self) -> None:
        self._originals = self._wire.before, self._wire.after
        self._wire.before = self._before
        self._wire.after = self._after

    def __exit__(self, *_error: object) -> None:
        self._wire.before, self._wire.after = self._originals
        self._wire.is_down = False

    def _before(self, method: str, _arguments: Mapping[str, Any]) -> None:
        if method in _WRITES:
            self._left -= 1
            if self._left < 0 and not self._is_done:
                self._lose()

    def _after(self, method: str, _arguments: Mapping[str, Any]) -> None:
        if method in _WRITES and self._left < 0:
            self._lose()

    def _lose(self) -> None:
        self._wire.is_down = True
        raise oslo_messaging.MessagingTimeout('nobody answered')


class Interrupted(base.NovaTest):
    """Interrupted operations on hosts with three devices each."""

    CAST_AS_CALL = False

    HOSTS: tuple[str, ...] = ('c0',)

    def setUp(self) -> None:
        super().setUp()
        self.flags(allow_resize_to_same_host=True)
        self.create_pci_flavor('gpu')
        self.create_pci_flavor('lm', {**base.GPU, 'e.live_migratable': 'true'})
        for number, host in enumerate(self.HOSTS):
            self.start_host(
                host, gpus=3, bus=0x81 + number, live_migratable='true'
            )
        self.flavor_1 = self.small_flavor('gpu:1')
        self.flavor_2 = self.small_flavor('gpu:2')

    def small_flavor(self, requests: str) -> str:
        """Create a small Nova flavor: servers of crashed hosts use memory."""
        flavor_id: str = self._create_flavor(
            vcpu=1,
            memory_mb=64,
            disk=0,
            ephemeral=0,
            extra_spec={'pci_passthrough:pci_flavor': requests},
        )
        return flavor_id

    def interrupt_at_each_step(
        self,
        prepare: Callable[[], Server],
        act: Callable[[Server], Server],
        state: str,
        most: int | None = None,
        left: int | None = None,
    ) -> list[str]:
        """Interrupt an operation after each of its steps.

        :param prepare: returns the server of the operation.
        :param act: starts the operation; returns the server.
        :param state: state of the server after an uninterrupted operation.
        :param most: number of steps that are interrupted; Nova does not
            recover from an interruption of a later step. None means all.
        :param left: number of held devices after the repair; None means that
            it depends on the step, because Nova does not finish the operation.
        :returns: the steps.
        """
        server = prepare()
        with Steps(self) as steps:
            server = act(server)
            self.wait_for(server, state)
            self.wait_for_rest(server)
        self.agree(server, state)
        self.end(server)
        for last in range(len(steps.seen[:most])):
            server = prepare()
            with Steps(self, last) as crashing:
                self.addCleanup(crashing.crash.bury)
                server = act(server)
                crashing.crash.wait()
            self.restart_after_crash(str(crashing.at))
            if most is not None:
                self.wait_for_rest(server)
            self.check(server, f'crash after {last} of {steps.seen}', left)
        calls = [step for step in steps.seen[:most] if step in _WRITES]
        for number, is_done in itertools.product(
            range(len(calls)), (False, True)
        ):
            server = prepare()
            with Outage(self.wire, number, is_done):
                server = act(server)
                self.wait_for_rest(server)
            lost = f'lost {number} of {calls}, carried out: {is_done}'
            self.check(server, lost, left)
        return steps.seen

    def check(self, server: Server, where: str, left: int | None) -> None:
        """Run the repair, and check the result."""
        self.run_periodic_tasks()
        self.agree(server, where, left)
        self.end(server)

    # -- servers; Nova's helpers wait too long between two checks --

    def create(self, flavor_id: str) -> Server:
        """Start to create a server on c0."""
        server: Server = self.api.post_server(
            {
                'server': self._build_server(
                    flavor_id=flavor_id, networks='none', host='c0'
                )
            }
        )
        return server

    def act(self, server: Server, action: str, value: Any = None) -> Server:
        """Start an action on a server."""
        self.api.post_server_action(server['id'], {action: value})
        return server

    def delete(self, server: Server) -> Server:
        """Start to delete a server."""
        self.api.delete_server(server['id'])
        return server

    def wait_for(self, server: Server, state: str) -> Server:
        """Wait until a server is in a state, or ``DELETED``."""
        base.wait_for(lambda: self.state_of(server) == state, state)
        return server

    def wait_for_rest(self, server: Server) -> None:
        """Wait until no task of a server is running."""

        def is_at_rest() -> bool:
            try:
                now = self.api.get_server(server['id'])
            except client.OpenStackApiNotFoundException:
                return True
            return (
                not now['OS-EXT-STS:task_state'] and now['status'] != 'BUILD'
            )

        base.wait_for(is_at_rest, f'no task of server {server["id"]}')
        self.settle()

    def state_of(self, server: Server) -> str:
        """Return a server's state; ``DELETED`` for a deleted one."""
        try:
            return str(self.api.get_server(server['id'])['status'])
        except client.OpenStackApiNotFoundException:
            return 'DELETED'

    def settle(self) -> None:
        """Wait until rows and claims stop changing."""
        seen: list[Any] = []

        def is_quiet() -> bool:
            seen.append([(self.rows(h), self.held(h)) for h in self.computes])
            return seen[-2:-1] == seen[-1:]

        base.wait_for(is_quiet, 'an end of the changes')

    def agree(
        self, server: Server, where: str, left: int | None = None
    ) -> None:
        """Wait until Nova's rows, the claims and the guests agree.

        :param left: the number of claimed devices then; None means any.
        """

        def do_agree() -> bool:
            held = {host: self.held(host) for host in self.computes}
            if not all(self.rows_agree(host, held[host]) for host in held):
                return False
            if left is not None and left != sum(map(len, held.values())):
                return False
            if self.state_of(server) != 'ACTIVE':
                return True
            host = self.host_of(server)
            owners = held[host].items()
            mine = [a for a, (_, owner) in owners if owner == server['id']]
            return sorted(mine) == self.guest_devices(host, server)

        base.wait_for(do_agree, f'agreement after {where}')

    def rows_agree(
        self, host: str, held: Mapping[str, tuple[str, str | None]]
    ) -> bool:
        """Whether Nova's rows are those of the held devices of a host."""
        return self.attachment_rows(host) == held

    def guest_devices(self, host: str, server: Server) -> list[str]:
        """Return the addresses of a guest's devices, sorted."""
        return self.hostdevs(host, server)

    def end(self, server: Server) -> None:
        """Delete a server if it exists; check that nothing is left."""
        if self.state_of(server) != 'DELETED':
            self.wait_for(self.delete(server), 'DELETED')
        self.settle()
        self.assert_clean(*self.computes)

    def booted(self, flavor_id: str) -> Server:
        """Return a server on c0."""
        return self.wait_for(self.create(flavor_id), 'ACTIVE')


class TestOneHost(Interrupted):
    """Operations on one host."""

    def test_boot(self) -> None:
        """A boot is interrupted between claim, rows and allocation."""
        steps = self.interrupt_at_each_step(
            dict, lambda _: self.create(self.flavor_2), 'ACTIVE'
        )
        self.assertEqual(
            ['claim', *2 * ['save available'], *2 * ['save allocated']],
            steps[:-1],
        )
        self.assertEqual('allocate', steps[-1])

    def test_delete(self) -> None:
        """A delete is interrupted between saves of rows and the free."""
        steps = self.interrupt_at_each_step(
            lambda: self.booted(self.flavor_2), self.delete, 'DELETED', left=0
        )
        self.assertEqual(
            [*2 * ['save available'], *2 * ['save removed'], 'free'], steps
        )

    def resized(self) -> Server:
        """Return a server after an unconfirmed resize within the host."""
        server = self.act(
            self.booted(self.flavor_1),
            'resize',
            {'flavorRef': self.small_flavor('gpu')},
        )
        return self.wait_for(server, 'VERIFY_RESIZE')

    def test_confirm(self) -> None:
        """Old and new devices are distinguished also after a crash."""
        steps = self.interrupt_at_each_step(
            self.resized,
            lambda server: self.act(server, 'confirmResize'),
            'ACTIVE',
            left=1,
        )
        self.assertEqual(['save available', 'save removed', 'free'], steps)

    def test_revert(self) -> None:
        """Old and new devices are distinguished also after a crash."""
        steps = self.interrupt_at_each_step(
            self.resized,
            lambda server: self.act(server, 'revertResize'),
            'ACTIVE',
        )
        self.assertEqual(['save available', 'save removed', 'free'], steps)


class TestTwoHosts(Interrupted):
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
        """The destination ends in the middle of its claim."""
        steps = self.interrupt_at_each_step(
            lambda: self.booted(self.flavor_1), self.migrate, 'VERIFY_RESIZE'
        )
        self.assertEqual(
            ['claim', 'save available', 'save allocated', 'allocate'], steps
        )

    def test_confirm(self) -> None:
        """The source ends while it frees its devices."""
        steps = self.interrupt_at_each_step(
            self.migrated,
            lambda server: self.act(server, 'confirmResize'),
            'ACTIVE',
            left=1,
        )
        self.assertEqual(['save available', 'save removed', 'free'], steps)

    def test_revert(self) -> None:
        """The destination ends while it frees its devices."""
        steps = self.interrupt_at_each_step(
            self.migrated,
            lambda server: self.act(server, 'revertResize'),
            'ACTIVE',
        )
        self.assertEqual(['save available', 'save removed', 'free'], steps)

    def test_live_migration(self) -> None:
        """The claim is saved before it is allocated.

        The last steps, on the source, are not interrupted: Nova does not
        recover from that.
        """
        self.flags(rpc_response_timeout=6, long_rpc_timeout=6)
        self.flags(device_detach_timeout='1', group='libvirt')
        flavor_id = self.small_flavor('lm:1')
        steps = self.interrupt_at_each_step(
            lambda: self.booted(flavor_id),
            lambda server: self.act(
                server,
                'os-migrateLive',
                {'host': 'c1', 'block_migration': 'auto'},
            ),
            'ACTIVE',
            most=3,
        )
        self.assertEqual(
            ['claim', 'save available', 'save claimed'], steps[:3]
        )
        self.assertEqual(['save allocated', 'allocate'], steps[-2:])
