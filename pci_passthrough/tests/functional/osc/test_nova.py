# SPDX-License-Identifier: Apache-2.0
"""``nova pci-flavor-…``."""

import re

import fixtures

from pci_passthrough.tests.functional.osc import base
from pci_passthrough.tests.functional.osc import cloud
from pci_passthrough.tests.functional.osc import shells


class NovaTestCase(base.OscTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.cloud = self.useFixture(
            cloud.CloudFixture(
                {'demo': base.PROJECT, 'ops': base.OTHER_PROJECT},
                {('pci-passthrough', 'one', 'public'): self.api.url},
            )
        )

    def nova(self, *words: str, user: str = 'admin') -> shells.Outcome:
        project = 'ops' if user == 'admin' else 'demo'
        return self.shell.nova(*self.cloud.login(user, project), *words)

    def test_all(self) -> None:
        created = self.nova(
            'pci-flavor-create', 'a', '--match', 'vendor_id=10de',
            '--match', '{"e.group": ["x", "y"]}', '--description', 'A GPU',
            '--numa-policy', 'socket', '--is-public', 'false',
        )  # fmt: skip
        self.assertEqual(
            self.succeed(created).stdout,
            self.succeed(self.nova('pci-flavor-show', 'a')).stdout,
        )
        for line in (
            '| match | vendor_id=10de or {"e.group": ["x", "y"]} |',
            '| is_public | False ',
            '| vnic_type | - ',
        ):
            self.assertIn(line, _narrow(created.stdout))
        changed = self.nova(
            'pci-flavor-update', 'a', '--name', 'b', '--description', '',
            '--vnic-type', 'direct', '--is-public', 'True',
        )  # fmt: skip
        for line in (
            '| description | - ',
            '| is_public | True ',
            '| name | b ',
            '| vnic_type | direct ',
        ):
            self.assertIn(line, _narrow(self.succeed(changed).stdout))
        listed = self.succeed(self.nova('pci-flavor-list', user='joe')).stdout
        self.assertIn('| b    | none         | direct    | active | -', listed)
        outcome = self.nova('pci-flavor-delete', 'b', 'c')
        self.assertEqual(1, outcome.status)
        self.assertEqual('PCI flavor b has been deleted.\n', outcome.stdout)
        not_found, summary = outcome.stderr.splitlines()
        self.assertIn('HTTP 404, pci_flavor.not_found', not_found)
        self.assertIn('1 of 2 PCI flavors failed to delete', summary)

    def test_refused(self) -> None:
        self.api.add_flavor('gpu')
        create = ('pci-flavor-create', 'gpu', '--match', 'vendor_id=10de')
        self.assert_error(self.nova(*create), 'HTTP 409, pci_flavor.exists')
        self.assert_error(self.nova(*create, user='joe'), 'HTTP 403')
        self.assert_error(self.nova('pci-flavor-show', 'x'), 'HTTP 404')
        self.assert_error(self.nova('pci-flavor-update', 'gpu'), 'nothing to')
        for words in (
            (*create, '--is-public', 'maybe'),
            ('pci-flavor-create', 'x', '--match', 'vendor_id'),
        ):
            self.assertEqual(2, self.nova(*words).status)
        with base.AnotherEditor(self.api.db):
            outcome = self.nova(
                'pci-flavor-update', 'gpu', '--state', 'disabled'
            )
        self.assert_error(outcome, 'HTTP 412, pci_flavor.changed')

    def test_environment(self) -> None:
        with fixtures.EnvironmentVariable(
            'OS_PCI_PASSTHROUGH_API_VERSION', '1.999'
        ):
            self.assert_error(self.nova('pci-flavor-list'), 'it has 1.0 to')
        with fixtures.EnvironmentVariable(
            'OS_PCI_PASSTHROUGH_ENDPOINT_OVERRIDE', self.cloud.url
        ):
            self.assert_error(self.nova('pci-flavor-list'), 'endpoint right')

    def test_help(self) -> None:
        text = self.succeed(self.nova('help', 'pci-flavor-update')).stdout
        self.assertIn('Change a PCI flavor', text)
        self.assertIn('--match <match>', text)


def _narrow(table: str) -> str:
    """Return a table whose columns are not aligned."""
    return re.sub(' +', ' ', table)
