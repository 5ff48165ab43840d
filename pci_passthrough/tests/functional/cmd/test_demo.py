# SPDX-License-Identifier: Apache-2.0
"""The demonstration tells what the README says it does."""

import re

import testtools

from pci_passthrough.tests.functional.cmd import running


class DemoTestCase(testtools.TestCase):
    def test_story(self) -> None:
        # A process of its own: it sets up logging and leaves services.
        outcome = running.run_program('pci-passthrough-demo')
        self.assertEqual(0, outcome.status, outcome.err)
        chapters = re.split(r'^# (?=\d\.)', outcome.out, flags=re.MULTILINE)
        self.assertEqual(10, len(chapters))
        _, offered, _, reported, named, pools, claims, full, history, freed = (
            chapters
        )
        self.assertIn('carries the default route', offered)
        self.assertIn('is mounted at', offered)
        for host in ('compute-1', 'compute-2', 'compute-3'):
            self.assertRegex(reported, rf'\| {host} \| up ')
        for name in ('100g', 'bigGPU', 'midGPU', 'scratch', 'whole-nic'):
            self.assertRegex(named, rf'\| {name} +\| .* active')
        self.assertEqual(self.table(pools), self.table(freed))
        self.assertEqual(5, len(re.findall(r'10de:(?:2330|20b5)', claims)))
        self.assertIn('| claimed |', full)
        self.assertRegex(history, r'claim .* claimed .*-manage')
        # The refusal, explained by host.
        self.assertIn('no host can serve the request:', outcome.err)
        for host, condition in (
            ('compute-1', 'no_match'),
            ('compute-2', 'all_held'),
            ('compute-3', 'all_held'),
        ):
            self.assertRegex(
                outcome.err, rf'  {host}: bigGPU: .* \({condition}\)'
            )
        self.assertNotIn('Traceback', outcome.err)

    def table(self, chapter: str) -> list[list[str]]:
        rows = [
            [cell.strip() for cell in line.split('|')[1:-1]]
            for line in chapter.splitlines()
            if line.startswith('| compute')
        ]
        self.assertTrue(rows)
        for row in rows:
            self.assertEqual(row[-1], row[-2], str(row))
        return rows
