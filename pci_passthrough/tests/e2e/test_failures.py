# SPDX-License-Identifier: Apache-2.0
"""Tests of failing services and disappearing devices; nothing leaks."""

from collections.abc import Callable
from typing import Any

from openstack import exceptions as sdk_exceptions

from pci_passthrough.tests.e2e import base
from pci_passthrough.tests.e2e import compute_host
from pci_passthrough.tests.e2e import processes

_HOST = 'compute-1'


class FailureTestCase(base.CloudTestCase):
    """Base class: tests on one host."""

    def setUp(self) -> None:
        super().setUp()
        self.host: compute_host.ComputeHost = self.cloud.hosts[_HOST]
        gpu = self.create_pci_flavor('e.group=gpu')
        self.flavor = self.create_flavor(pci_flavor=gpu)

    def restart_nova_compute(self) -> None:
        """Start nova-compute, and wait until it updates its resources."""
        service = self.host.nova_compute
        begin = len(service.log)
        service.restart()
        service.wait_for_log('Compute_service record updated', begin)
        self.wait_until_up()

    def wait_until_up(self) -> None:
        """Wait until the host is up for Nova and for this project."""
        processes.wait_for(
            lambda: _HOST in self.cloud.pools(), f'pools of {_HOST}'
        )

    def state_of(self, address: str) -> str | None:
        """Return the state of a device of the host, None if unknown."""
        return self.views.states().get((_HOST, address))


class NovaComputeTestCase(FailureTestCase):
    """nova-compute is killed and started again."""

    def setUp(self) -> None:
        super().setUp()
        # nova-compute runs again for the next test.
        self.addCleanup(self.host.nova_compute.start)

    def test_restart_with_instances(self) -> None:
        servers = [self.boot(self.flavor, _HOST) for _ in range(2)]
        held = self.views.ours()
        self.restart_nova_compute()
        self.assert_holdings(*servers)
        self.assertEqual(held, self.views.ours())
        third = self.boot(self.flavor, _HOST)
        self.assert_holdings(*servers, third)
        self.delete(*servers)
        self.assert_holdings(third)

    def test_deleted_while_down(self) -> None:
        server = self.boot(self.flavor, _HOST)
        self.host.nova_compute.kill()
        self.compute.delete_server(server.id)
        self.restart_nova_compute()
        self.wait_until_gone(server)
        self.assert_all_free()

    def _kill_when(self, condition: Callable[[Any], object]) -> None:
        server = self.create_server(self.flavor, _HOST)
        processes.wait_for(
            lambda: condition(server), f'the moment to kill {_HOST}', pause=0
        )
        self.host.nova_compute.kill()
        self.restart_nova_compute()
        server = self.wait_for_status(server, 'ACTIVE', 'ERROR')
        # All views agree which instance holds which device.
        self.wait_for_holdings_of(server)
        others = [self.boot(self.flavor, _HOST) for _ in range(3)]
        self.assert_disjoint(self.views.ours().values())
        self.delete(server)
        self.assert_holdings(*others)

    def wait_for_holdings_of(self, server: Any) -> None:
        """Wait until all views agree about the devices of an instance.

        An instance that was not spawned has no domain. Nova keeps its
        devices until it is deleted, or frees them; both are valid if both
        databases agree.
        """
        processes.wait_for(
            lambda: self.views.ours() == self.views.novas(),
            'agreement about devices',
            blame=lambda: str(self.views.all()),
        )
        attached = self.views.domains().get(server.id, set())
        held = self.views.ours().get(server.id, set())
        self.assertLessEqual(attached, held)

    def test_killed_when_claimed(self) -> None:
        self._kill_when(lambda server: self.views.ours().get(server.id))

    def test_killed_when_nova_has_the_row(self) -> None:
        self._kill_when(lambda server: self.views.novas().get(server.id))

    def test_killed_when_the_domain_is_there(self) -> None:
        self._kill_when(lambda server: server.id in self.host.domains())


class ConductorTestCase(FailureTestCase):
    """All conductors are down."""

    def setUp(self) -> None:
        super().setUp()
        self.conductor = self.cloud.daemons['pci-passthrough-conductor']
        self.addCleanup(self._start)

    def _start(self) -> None:
        self.conductor.start()
        processes.wait_for(
            lambda: set(self.cloud.hosts) <= set(self.cloud.pools()),
            'pools of all hosts',
        )

    def test_away(self) -> None:
        server = self.boot(self.flavor)
        held = self.views.ours()
        self.conductor.kill()
        error = self.assertRaises(
            sdk_exceptions.HttpException, self.create_server, self.flavor
        )
        self.assertEqual(503, error.status_code)
        # Instances without devices are not affected.
        self.delete(self.boot(self.create_flavor()))
        self.compute.delete_server(server.id)
        processes.wait_for(
            lambda: self.views.domains() == {}, 'the end of the instance'
        )
        self.assertEqual(held, self.views.ours())
        self._start()
        self.wait_until_gone(server)
        self.assert_holdings(self.boot(self.flavor))


class HotUnplugTestCase(FailureTestCase):
    """Devices are unplugged from a running host."""

    def _gpus(self) -> list[str]:
        return [
            address
            for address, device in self.host.machine.host.devices.items()
            if device.model.driver == 'nvidia'
            and not device.model.mediated_types
        ]

    def _unplug(self, address: str) -> None:
        self.host.machine.unplug(address)
        self.addCleanup(
            processes.wait_for,
            lambda: self.state_of(address) == 'available',
            f'{address} back',
        )
        self.addCleanup(self.host.machine.plug, address)

    def test_free_device(self) -> None:
        gone, left = self._gpus()[:3], self._gpus()[3:]
        for address in gone:
            self._unplug(address)
        processes.wait_for(
            lambda: (
                not any(
                    self.state_of(address) == 'available' for address in gone
                )
            ),
            f'{gone} gone from what is offered',
        )
        server = self.boot(self.flavor, _HOST)
        self.assertEqual(
            {(_HOST, address) for address in left},
            self.views.ours()[server.id],
        )
        late = self.create_server(self.flavor, _HOST)
        self.wait_for_status(late, 'ERROR')
        self.assert_holdings(server)

    def test_held_device(self) -> None:
        server = self.boot(self.flavor, _HOST)
        [(_, address)] = self.views.ours()[server.id]
        self._unplug(address)
        processes.wait_for(
            lambda: self.state_of(address) == 'missing',
            f'{address} shown as missing',
            blame=lambda: str(self.views.states()),
        )
        # The instance still holds the device, and no other instance gets it.
        self.assertIn(server.id, self.views.ours())
        others = [self.boot(self.flavor, _HOST) for _ in range(3)]
        late = self.create_server(self.flavor, _HOST)
        self.wait_for_status(late, 'ERROR')
        self.assert_disjoint(self.views.ours().values())
        self.delete(server, late)
        self.assertEqual(
            {other.id for other in others}, set(self.views.ours())
        )
        self.assertNotIn(self.state_of(address), ('available', 'allocated'))
