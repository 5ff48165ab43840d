# SPDX-License-Identifier: Apache-2.0
"""Tests of attaching and detaching interfaces with PCI flavors."""

from collections.abc import Mapping
from concurrent import futures
import contextlib
import threading
from typing import Any

from nova import context as nova_context
from nova import exception as nova_exception
from nova import objects as nova_objects
from nova.virt.libvirt import driver
from oslo_utils import uuidutils

from pci_passthrough.tests.nova import base
from pci_passthrough.tests.nova import nics


class AttachTest(nics.NicsTest):
    """A server with a virtio NIC on a host with VFs."""

    def setUp(self) -> None:
        super().setUp()
        self.distinguish_devices()
        self.start_nic_host('c0')
        self.server = self.boot_with({'uuid': self.net.overlay})

    def attach(self, **interface: Any) -> dict[str, Any]:
        """Attach an interface and return it."""
        answer = self.api.attach_interface(
            self.server['id'], {'interfaceAttachment': interface}
        )
        attached: dict[str, Any] = answer.body['interfaceAttachment']
        return attached

    def refused_attach(self, **interface: Any) -> tuple[int, str]:
        """Return status and text of an interface that is refused."""
        answer: tuple[int, str] = self.refused(self.attach, **interface)
        return answer

    def detach(self, port_id: str) -> None:
        """Detach an interface, and wait until it is detached."""
        self.api.detach_interface(self.server['id'], port_id)
        self._wait_for_action_event_completion(
            self.server,
            'detach_interface',
            'compute_detach_interface',
        )

    def send_port_deleted(self, port_id: str) -> None:
        """Send Neutron's event that a port was deleted."""
        event = {
            'name': 'network-vif-deleted',
            'server_uuid': self.server['id'],
            'tag': port_id,
        }
        self.api.create_server_external_events([event])

    def request_ids(self, server: Mapping[str, Any]) -> set[str]:
        """Return the ids of a server's requests."""
        requests = self.instance(server).pci_requests.requests
        return {request.request_id for request in requests}

    def scheduled_ids(self, server: Mapping[str, Any]) -> set[str]:
        """Return the ids of the requests in a server's request spec."""
        pci_requests = nova_objects.RequestSpec.get_by_instance_uuid(
            nova_context.get_admin_context(), server['id']
        ).pci_requests
        return {request.request_id for request in pci_requests.requests}

    def _wait_for_action_event_completion(
        self, server: Mapping[str, Any], action: str, event: str
    ) -> None:
        self._wait_for_instance_action_event(
            server, action, event, event_result='success'
        )


class TestAttach(AttachTest):
    """Interfaces that are attached, and detached again."""

    def test_by_network(self) -> None:
        """Nova makes the port, and deletes it."""
        self.attach(net_id=self.net.red, pci_flavor='10g')
        (address,) = self.assert_consistent('c0', self.server, 1)
        self.assertEqual(
            {'physical_network': 'physnet-red'}, nics.tags_of(address)
        )
        _, port = self.ports(self.server)
        self.assertEqual('direct', port['binding:vnic_type'])
        self.assertEqual(address, self.profile(port)['pci_slot'])
        (request,) = self.instance(self.server).pci_requests.requests
        self.assertEqual(port['id'], request.requester_id)
        self.assertEqual(
            ['hostdev'],
            [kind for kind, *_ in self.interfaces('c0', self.server)[1:]],
        )
        self.assertEqual({request.request_id}, self.scheduled_ids(self.server))
        self.run_periodic_tasks()
        self.assert_consistent('c0', self.server, 1)
        self.detach(port['id'])
        self.assertEqual(set(), self.scheduled_ids(self.server))
        self.assert_clean('c0')
        self.assertEqual(set(), self.request_ids(self.server))
        self.assertEqual(1, len(self.ports(self.server)))
        self.assertNotIn(port['id'], self.net._ports)

    def test_by_tagged_port(self) -> None:
        """A user's port with a tag gets a device; the port is kept."""
        port = self.net.port(self.net.blue, 'direct', 'pci-flavor=10g')
        self.attach(port_id=port['id'])
        (address,) = self.assert_consistent('c0', self.server, 1)
        self.assertEqual(
            {'physical_network': 'physnet-blue'}, nics.tags_of(address)
        )
        self.detach(port['id'])
        self.assert_clean('c0')
        left = self.net.show_port(port['id'])['port']
        self.assertEqual('', left['device_id'])
        self.assertEqual({}, self.profile(left))

    def test_port_is_deleted(self) -> None:
        """A user deletes the port in Neutron, without Nova."""
        self.attach(net_id=self.net.red, pci_flavor='10g')
        self.attach(net_id=self.net.blue, pci_flavor='10g')
        _, red, blue = self.ports(self.server)
        self.net.delete_port(red['id'])
        self.send_port_deleted(red['id'])
        (address,) = self.assert_consistent('c0', self.server, 1)
        self.assertEqual(address, self.profile(blue)['pci_slot'])
        self.assertEqual(1, len(self.request_ids(self.server)))

    def test_port_is_deleted_and_the_guest_keeps_the_device(self) -> None:
        """The device stays allocated to the instance."""
        self.attach(net_id=self.net.red, pci_flavor='10g')
        _, red = self.ports(self.server)

        def fail(*_: Any, **__: Any) -> None:
            raise nova_exception.DeviceDetachFailed(
                device=red['id'], reason='the guest is busy'
            )

        self.net.delete_port(red['id'])
        with base.replaced(driver.LibvirtDriver, 'detach_interface', fail):
            self.send_port_deleted(red['id'])
        self.assert_consistent('c0', self.server, 1)
        self._delete_server(self.server)
        self.assert_clean('c0')

    def test_port_of_an_earlier_try_is_deleted(self) -> None:
        """A port id in a request is no interface of the instance."""
        self.attach(net_id=self.net.red, pci_flavor='10g')
        instance = self.instance(self.server)
        (request,) = instance.pci_requests.requests
        request.requester_id = gone = str(uuidutils.generate_uuid())
        instance.save()
        self.send_port_deleted(gone)
        self.assert_consistent('c0', self.server, 1)
        self.assertEqual(1, len(self.request_ids(self.server)))

    def test_two_at_once(self) -> None:
        """Of two interfaces at the same time no request is lost."""
        ports = [
            self.net.port(network, 'direct', 'pci-flavor=10g')['id']
            for network in (self.net.red, self.net.blue)
        ]
        barrier = threading.Barrier(2, timeout=2)
        original = driver.LibvirtDriver.attach_interface

        def slow(*arguments: Any) -> None:
            with contextlib.suppress(threading.BrokenBarrierError):
                barrier.wait()
            original(*arguments)

        with base.replaced(driver.LibvirtDriver, 'attach_interface', slow):
            with futures.ThreadPoolExecutor(2) as pool:
                list(pool.map(lambda p: self.attach(port_id=p), ports))
        self.assert_consistent('c0', self.server, 2)
        self.assertEqual(2, len(self.request_ids(self.server)))
        self.assertEqual(
            self.request_ids(self.server), self.scheduled_ids(self.server)
        )

    def test_scheduler_gets_the_request_for_an_unshelve(self) -> None:
        """The scheduler finds the only host that has the device."""
        self.start_nic_host('c1', bus=0x82)
        # Without the NIC, c0 is better: it has more free memory.
        self.boot_with({'uuid': self.net.overlay}, host='c1')
        self.attach(net_id=self.net.red, pci_flavor='10g')
        self._shelve_server(self.server)
        self.assert_clean('c0')
        self.report('c0', [])
        self._unshelve_server(self.server)
        self.assertEqual('c1', self.host_of(self.server))
        (address,) = self.assert_consistent('c1', self.server, 1)
        _, port = self.ports(self.server)
        self.assertEqual(address, self.profile(port)['pci_slot'])

    def test_beside_others(self) -> None:
        """Detaching one interface keeps the other; a delete frees both."""
        self.attach(net_id=self.net.red, pci_flavor='10g')
        self.attach(net_id=self.net.blue, pci_flavor='10g')
        _, red, blue = self.ports(self.server)
        self.detach(red['id'])
        (address,) = self.assert_consistent('c0', self.server, 1)
        self.assertEqual(address, self.profile(blue)['pci_slot'])
        self._delete_server(self.server)
        self.assert_clean('c0')
        self.assertEqual([], self.net.ports_of(self.server['id']))


class TestRefusals(AttachTest):
    """A refused interface leaves nothing behind."""

    def assert_refused(self, text: str, **interface: Any) -> None:
        """Check for HTTP 400 with a text, and that nothing has changed."""
        before = set(self.net._ports)
        status, message = self.refused_attach(**interface)
        self.assertEqual(400, status, message)
        self.assertIn(text, message)
        self.assert_unchanged(before)

    def assert_unchanged(self, ports: set[str]) -> None:
        """Check that no device is held and no port was made."""
        self.assert_clean('c0')
        self.assertEqual(ports, set(self.net._ports))
        self.assertEqual(1, len(self.ports(self.server)))
        self.assertEqual(set(), self.request_ids(self.server))

    def test_refusals(self) -> None:
        self.create_pci_flavor('gpu', {'class': 'display'})
        self.create_pci_flavor('pf', nics.PF, vnic_type='direct')
        red = self.net.red
        tagged = self.net.port(red, 'direct', 'pci-flavor=none-such')
        for text, interface in (
            ('none-such', {'net_id': red, 'pci_flavor': 'none-such'}),
            ('gpu', {'net_id': red, 'pci_flavor': 'gpu'}),
            ('net_id', {'pci_flavor': '10g'}),
            ('none-such', {'port_id': tagged['id']}),
            ('tag', {'port_id': tagged['id'], 'pci_flavor': '10g'}),
            # It matches no VF, and a direct NIC needs a VF.
            ('pf', {'net_id': red, 'pci_flavor': 'pf'}),
        ):
            self.assert_refused(text, **interface)

    def test_no_plugin_on_the_host(self) -> None:
        """nova-api refuses: that nova-compute would attach any interface."""
        self.silence('c0', agent=False, tracker=True)
        self.assert_refused('10g', net_id=self.net.red, pci_flavor='10g')

    def test_claim_fails(self) -> None:
        """nova-compute's claim fails after nova-api's check."""

        def lose(method: str, _: object) -> None:
            if method == 'claim':
                self.report('c0', [])

        self.wire.before = lose
        self.assert_refused(
            'Failed to claim', net_id=self.net.red, pci_flavor='10g'
        )

    def test_no_conductor(self) -> None:
        """nova-api answers 503."""
        self.wire.is_down = True
        before = set(self.net._ports)
        status, _ = self.refused_attach(net_id=self.net.red, pci_flavor='10g')
        self.wire.is_down = False
        self.assertEqual(503, status)
        self.assert_unchanged(before)

    def test_neutron_fails(self) -> None:
        """The claimed device is freed."""
        before = set(self.net._ports)

        def fail(*_: Any, **__: Any) -> None:
            raise nova_exception.PortLimitExceeded()

        with base.replaced(self.net, 'create_port', fail):
            status, _ = self.refused_attach(
                net_id=self.net.red, pci_flavor='10g'
            )
        self.assertEqual(403, status)
        self.assert_unchanged(before)

    def test_driver_fails(self) -> None:
        """The port is deleted, and the claimed device freed."""
        before = set(self.net._ports)

        def fail(*_: Any, **__: Any) -> None:
            raise nova_exception.InterfaceAttachFailed(
                instance_uuid=self.server['id']
            )

        with base.replaced(driver.LibvirtDriver, 'attach_interface', fail):
            status, _ = self.refused_attach(
                net_id=self.net.red, pci_flavor='10g'
            )
        self.assertEqual(500, status)
        self.assert_unchanged(before)
