# SPDX-License-Identifier: Apache-2.0
"""An administrator: each action has its effect in the service."""

from typing import Any

from pci_passthrough_dashboard.tests import base
from pci_passthrough_dashboard.tests import world

_PATH = '/admin/pci_flavors/'


class PciFlavorsTest(base.Story):
    user = 'admin'

    def test_from_creation_to_deletion(self) -> None:
        self._create()
        self._edit()
        self._share()
        self._delete()

    def _create(self) -> None:
        browser = self.browser
        browser.open(_PATH)
        browser.picture('admin-pci-flavors')
        browser.leave('#pci_flavors__action_create')
        browser.write('name', 'midGPU')
        browser.write('match', 'vendor_id=')
        browser.write('match', 'vendor_id=10de,numa_node=1')
        # By the script, while the user writes.
        browser.wait_for_text('#pci-effect', 'It would match 2 devices')
        self.assertIn(world.ALFA, browser.find('#pci-effect').text)
        browser.picture('admin-create')
        self.assertIsNone(self.service().find_pci_flavor('midGPU'))
        browser.leave('form[data-pci-preview] .btn-primary')
        self.assertIn('Created the PCI flavor midGPU.', browser.text)
        flavor = self.service().get_pci_flavor('midGPU')
        self.assertEqual(
            [{'vendor_id': '10de', 'numa_node': '1'}], flavor.match
        )
        self.assertTrue(flavor.is_public)

    def _edit(self) -> None:
        browser = self.browser
        flavor = self.service().get_pci_flavor('midGPU')
        browser.open(f'{_PATH}{flavor.id}/update/')
        browser.write('match', 'vendor_id=10de\nnumbers')
        # By the button, as without scripts.
        browser.leave('#pci-preview')
        self.assertIn("'numbers' is not KEY=VALUE", browser.text)
        browser.write('match', 'vendor_id=10de')
        browser.tick('is_public')
        browser.choose('state', 'deprecated')
        browser.leave('#pci-preview')
        self.assertIn('It would gain 6 and lose 0.', browser.text)
        browser.leave('form[data-pci-preview] .btn-primary')
        self.assertIn('Changed the PCI flavor midGPU.', browser.text)
        flavor = self.service().get_pci_flavor('midGPU')
        self.assertEqual('deprecated', flavor.state)
        self.assertFalse(flavor.is_public)

    def _share(self) -> None:
        browser = self.browser
        flavor = self.service().get_pci_flavor('midGPU')
        browser.open(f'{_PATH}{flavor.id}/share/')
        browser.write('projects', 'no such project')
        browser.leave('form .btn-primary')
        self.assertIn('0 projects have the name or ID', browser.text)
        browser.write('projects', 'blue')
        # Meanwhile somebody else changes it, and is not overwritten.
        self.service().update_pci_flavor(flavor.id, description='mine')
        browser.leave('form .btn-primary')
        self.assertIn('changed', browser.text)
        self.assertEqual([], self.service().pci_flavor_access(flavor.id))
        browser.open(f'{_PATH}{flavor.id}/share/')
        browser.write('projects', 'blue')
        browser.leave('form .btn-primary')
        blue = self.stack.accounts.projects['blue']
        self.assertEqual([blue], self.service().pci_flavor_access(flavor.id))
        names = [item.name for item in self.service('berta').pci_flavors()]
        self.assertIn('midGPU', names)

    def _delete(self) -> None:
        browser = self.browser
        flavor = self.service().get_pci_flavor('midGPU')
        browser.open(f'{_PATH}{flavor.id}/delete/')
        browser.leave('form .btn-primary')
        self.assertIn('Deleted the PCI flavor.', browser.text)
        self.assertIsNone(self.service().find_pci_flavor('midGPU'))

    def test_instances_that_would_be_stranded(self) -> None:
        browser, service = self.browser, self.service()
        flavor = service.get_pci_flavor('bigGPU')
        browser.open(f'{_PATH}{flavor.id}/')
        self.assertIn('Near misses', browser.text)
        self.assertIn(world.ALFA, browser.find('#pci-hosts').text)
        browser.picture('admin-pci-flavor')
        browser.open(f'{_PATH}{flavor.id}/update/')
        browser.write('match', 'vendor_id=10de,e.size=small')
        browser.wait_for_text('#pci-effect', world.INSTANCES['bigGPU'])
        browser.picture('admin-stranded')
        browser.leave('form[data-pci-preview] .btn-primary')
        self.assertIn('held', browser.find('.alert-danger').text)
        now = service.get_pci_flavor('bigGPU')
        self.assertEqual(flavor.generation, now.generation)
        browser.open(f'{_PATH}{flavor.id}/delete/')
        self.assertIn(world.INSTANCES['bigGPU'], browser.text)
        browser.leave('form .btn-primary')
        self.assertIsNotNone(service.find_pci_flavor('bigGPU'))


class PciDevicesTest(base.Story):
    user = 'admin'

    def test_out_of_service_and_back(self) -> None:
        browser = self.browser
        browser.open('/admin/pci_devices/')
        browser.picture('admin-pci-devices')
        self._filter_refused()
        device = self.service().get_pci_device(f'{world.CHARLIE}/0000:02:00.0')
        path = f'/admin/pci_devices/{device.id}/'
        browser.open(f'/admin/pci_devices/?host={world.CHARLIE}')
        rows = browser.texts('#pci_devices tbody tr')
        self.assertEqual(2, len(rows))
        self.assertIn(world.INSTANCES['gpu'], rows[0])
        browser.leave(f'a[href="{path}disable/"]')
        browser.write('reason', 'smells burnt')
        browser.leave('form .btn-primary')
        self.assertIn('is disabled now', browser.text)
        self.assert_state(device, 'disabled')
        browser.open(path)
        self.assertIn('smells burnt', browser.find('#pci-events').text)
        browser.picture('admin-pci-device')
        browser.open(f'{path}enable/')
        browser.leave('form .btn-primary')
        self.assert_state(device, 'available')
        # What the service does not do, and why.
        held = self.service().get_pci_device(f'{world.CHARLIE}/0000:01:00.0')
        browser.open(f'/admin/pci_devices/{held.id}/quarantine/')
        browser.write('reason', 'too late')
        browser.leave('form .btn-primary')
        self.assertIn('claimed', browser.find('.alert-danger').text)

    def _filter_refused(self) -> None:
        browser = self.browser
        browser.choose('state', 'refused')
        browser.leave('.pci-filter button')
        [row] = browser.texts('#pci_devices tbody tr')
        self.assertIn('mounted at /boot/efi', row)

    def test_a_disk_that_is_not_clean(self) -> None:
        browser, service = self.browser, self.service()
        device = service.get_pci_device(f'{world.BRAVO}/{world.DIRTY}')
        self.assertEqual('cleaning', device.state)
        path = f'/admin/pci_devices/{device.id}/'
        for action, state in (
            ('quarantine', 'quarantined'),
            ('release', 'available'),
            ('clean', 'cleaning'),
        ):
            browser.open(f'{path}{action}/')
            browser.write('reason', 'for a test')
            browser.leave('form .btn-primary')
            self.assert_state(device, state)

    def assert_state(self, device: Any, state: str) -> None:
        """Check the state of a device in the service."""
        now = self.service().get_pci_device(device.id)
        self.assertEqual(state, now.state)


class HostsTest(base.Story):
    user = 'admin'

    def test_hosts_and_refusals(self) -> None:
        browser = self.browser
        browser.open('/admin/pci_hosts/?state=down')
        [row] = browser.texts('#pci_hosts tbody tr')
        self.assertIn(world.DELTA, row)
        browser.open('/admin/pci_hosts/')
        self.assertEqual(4, len(browser.all('#pci_hosts tbody tr')))
        browser.picture('admin-pci-hosts')
        browser.open(f'/admin/pci_refusals/?server={world.REFUSED}')
        [row] = browser.texts('#pci_refusals tbody tr')
        self.assertIn('1 free bigGPU, 4 needed (2 hosts: alfa', row)
        browser.picture('admin-why-no-host')
        browser.open('/admin/pci_refusals/?since=noon')
        self.assertIn("'noon' is not a time", browser.text)

    def test_where_is_how_much(self) -> None:
        browser = self.browser
        browser.open('/admin/pci_pools/')
        flavors = browser.texts('#pci-heat thead th')[1:]
        cells = {
            host: dict(
                zip(
                    flavors,
                    [cell.text.split('\n') for cell in browser.cells(row)],
                    strict=True,
                )
            )
            for row in browser.all('#pci-heat tbody tr')
            for host in (world.ALFA, world.BRAVO)
            if host in row.text
        }
        self.assertEqual(['1 of 2', '1 held'], cells[world.ALFA]['bigGPU'])
        self.assertEqual(1, len(cells[world.ALFA]['10g']))
        self.assertNotIn('of', cells[world.ALFA]['10g'][0])
        self.assertEqual(
            ['0 of 1', '1 cleaning', '1 refused'],
            cells[world.BRAVO]['scratch'],
        )
        browser.picture('admin-pci-pools')
        browser.leave('#pci-heat tbody tr:last-child th a')
        rows = browser.texts('#pci_devices tbody tr')
        self.assertTrue(all(world.DELTA in row for row in rows), rows)

    def test_forget_a_host(self) -> None:
        browser, api = self.browser, self.stack.api
        api.add_host('echo.rack9', [])
        world.silence(api, 'echo.rack9')
        browser.open('/admin/pci_hosts/?host=echo.rack9')
        browser.leave('#pci_hosts tbody a[href$="/forget/"]')
        browser.leave('form .btn-primary')
        self.assertIn('Forgot the host echo.rack9.', browser.text)
        hosts = self.service().pci_hosts(host='echo.rack9')
        self.assertEqual([], list(hosts))
