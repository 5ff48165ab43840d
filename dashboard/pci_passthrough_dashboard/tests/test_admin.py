# SPDX-License-Identifier: Apache-2.0
"""An administrator: each action has its effect in the service."""

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
