# SPDX-License-Identifier: Apache-2.0
"""A member of a project, and a reader: what they see, and what they do not."""

from pci_passthrough_dashboard.tests import base
from pci_passthrough_dashboard.tests import world


class MemberTest(base.Story):
    user = 'berta'

    def test_what_may_i_ask_for_and_how(self) -> None:
        browser = self.browser
        browser.open('/project/pci_flavors/')
        rows = browser.texts('#pci_flavors tbody tr')
        self.assertEqual(
            ['10g', 'bigGPU', 'blueGPU', 'fpga', 'gpu', 'oldGPU', 'scratch'],
            [row.split()[0] for row in rows],
        )
        self.assertIn('Few', rows[1])
        self.assertIn('None left', rows[3])
        browser.picture('project-pci-flavors')
        self.assert_no_secrets()
        browser.leave('#pci_flavors tbody a')
        self.assertIn('PCI Flavor: 10g', browser.text)
        self.assertEqual(
            'pci_passthrough:pci_flavor=10g:1', browser.texts('pre')[0]
        )
        browser.picture('project-how-to-ask')
        self.assert_no_secrets()
        browser.click('[data-pci-copy="ask-1"]')
        self.assertEqual('Copied', browser.find('#pci-copy-status').text)

    def test_a_port(self) -> None:
        browser, neutron = self.browser, self.stack.neutron
        flavor = self.service(self.user).get_pci_flavor('10g')
        path = f'/project/pci_flavors/{flavor.id}/port/'
        browser.open('/project/pci_flavors/')
        self.assertEqual(1, len(browser.all('a[href$="/port/"]')))
        neutron.refuses_tags = True
        browser.open(path)
        browser.write('name', 'mine')
        browser.leave('form .btn-primary')
        self.assertEqual(
            'no tags today', browser.find('.alert-danger').text.strip()
        )
        self.assertEqual({}, neutron.ports)
        neutron.refuses_tags = False
        browser.open(path)
        browser.write('name', 'mine')
        browser.picture('project-port')
        browser.leave('form .btn-primary')
        self.assertIn('Created the port mine.', browser.text)
        [port] = neutron.ports.values()
        self.assertEqual(['pci-flavor=10g'], port['tags'])
        self.assertEqual('direct', port['binding:vnic_type'])
        self.assertEqual('mine', port['name'])
        neutron.ports.clear()

    def test_panels_of_operators(self) -> None:
        self.assert_no_panels_of_operators()

    def assert_no_secrets(self) -> None:
        """Check that the page names no host and no instance."""
        source = self.browser.driver.page_source
        for secret in ('rack7', 'rack8', *world.INSTANCES.values(), 'redGPU'):
            self.assertNotIn(secret, source)

    def assert_no_panels_of_operators(self) -> None:
        """Check that the panels are neither in the menu nor reachable."""
        self.assertEqual([], self.browser.all('a[href^="/admin/pci"]'))
        for path in (
            'pci_flavors/',
            'pci_flavors/create/',
            'pci_devices/',
            'pci_hosts/',
            'pci_refusals/',
            'pci_pools/',
        ):
            self.browser.open(f'/admin/{path}')
            self.assertNotIn('bigGPU', self.browser.text)
            self.assertEqual([], self.browser.all('[name="match"]'))
            self.assert_no_secrets()


class ReaderTest(MemberTest):
    user = 'bob'

    def test_a_port(self) -> None:
        self.browser.open('/project/pci_flavors/')
        self.assertEqual([], self.browser.all('a[href$="/port/"]'))
