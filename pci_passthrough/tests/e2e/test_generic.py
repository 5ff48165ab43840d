# SPDX-License-Identifier: Apache-2.0
"""Instances with a vGPU and a USB token: devices that are no PCI functions."""

from collections.abc import Collection
from typing import Any

from openstack import exceptions as sdk_exceptions

from pci_passthrough.tests.e2e import base
from pci_passthrough.tests.e2e import processes


class GenericTestCase(base.CloudTestCase):
    def setUp(self) -> None:
        super().setUp()
        vgpu = self.create_pci_flavor('resource_type=mdev,e.type=nvidia-558')
        token = self.create_pci_flavor('resource_type=usb,e.type=token')
        self.flavor = self.create_flavor(pci_flavor=f'{vgpu},{token}')

    def held(self, server: Any) -> dict[str, tuple[str, str]]:
        """Return host and address of a server's devices by their type."""
        listed = self.cloud.openstack(
            'pci', 'device', 'list', '--server', server.name, '--long'
        )
        return {
            row['Resource Type']: (row['Host'], row['Address'])
            for row in listed
        }

    def assert_has(self, server: Any, host: str) -> dict[str, tuple[str, str]]:
        """Check that a server has one device of each type, on a host."""
        held = self.held(server)
        self.assertEqual({'mdev', 'usb'}, set(held))
        self.assertEqual({host}, {where for where, _ in held.values()})
        self.assertEqual({server.id: set(held.values())}, self.views.ours())
        self.assertEqual(self.views.ours(), self.views.domains())
        # Nova has no records of such devices.
        self.assertEqual({}, self.views.novas())
        self.assert_domain(server, host)
        return held

    def assert_domain(self, server: Any, host: str) -> None:
        """Compare the domain with the host's devices."""
        compute_host = self.cloud.hosts[host]
        domain = compute_host.domains()[server.id]
        elements = {
            element.attrib['type']: element
            for element in domain.findall('devices/hostdev')
        }
        self.assertEqual({'mdev', 'usb'}, set(elements))
        self.assertEqual('vfio-pci', elements['mdev'].attrib['model'])
        uuid = elements['mdev'].find('source/address').attrib['uuid']
        kind = compute_host.machine.run(
            'readlink', f'/sys/bus/mdev/devices/{uuid}/mdev_type'
        )
        self.assertIn('nvidia-558', kind)
        source = elements['usb'].find('source')
        self.assertEqual('0x1050', source.find('vendor').attrib['id'])

    def wait_until_clean(self, held: Collection[tuple[str, str]] = ()) -> None:
        """Wait until the devices of earlier owners are available.

        :param held: those that an instance has.
        """

        def states() -> set[str]:
            return {
                state
                for device, state in self.views.states().items()
                if device not in held
            }

        processes.wait_for(
            lambda: states() <= {'available', 'refused'},
            'clean devices',
            pause=0.5,
            blame=lambda: str(self.views.states()),
        )

    def test_boot_reboot_move_delete(self) -> None:
        server = self.boot(self.flavor, 'compute-1')
        first = self.assert_has(server, 'compute-1')
        self.compute.reboot_server(server.id, 'HARD')
        self.wait_for_status(server, 'HARD_REBOOT')
        self.wait_for_status(server, 'ACTIVE')
        self.assertEqual(first, self.assert_has(server, 'compute-1'))
        error = self.assertRaises(
            sdk_exceptions.HttpException,
            self.compute.live_migrate_server,
            server.id,
            block_migration=True,
        )
        self.assertEqual(first, self.held(server), str(error))
        self.compute.migrate_server(server.id)
        self.wait_for_status(server, 'VERIFY_RESIZE')
        self.compute.confirm_server_resize(server.id)
        self.wait_for_status(server, 'ACTIVE')
        processes.wait_for(
            lambda: (
                {host for host, _ in self.held(server).values()}
                == {'compute-2'}
            ),
            'the devices of the source free',
        )
        self.assert_has(server, 'compute-2')
        self.wait_until_clean(self.held(server).values())
        self.delete(server)
        self.wait_until_clean()
