# SPDX-License-Identifier: Apache-2.0
"""The demonstration prints the lines that the README quotes."""

import pathlib
import re

import fixtures
import testtools

from pci_passthrough.tests.functional.cmd import running

_README = pathlib.Path(__file__).parents[4] / 'README.rst'
_UUID = re.compile(r'[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}')


class DemoTestCase(testtools.TestCase):
    def test_story(self) -> None:
        # In its own process: it sets up logging, and its services go on.
        outcome = running.run_program('pci-passthrough-demo')
        self.assertEqual(0, outcome.status, outcome.err)
        chapters = re.split(r'^# (?=\d+\.)', outcome.out, flags=re.MULTILINE)
        self.assertEqual(15, len(chapters))
        _, offered, _, reported, named, pools, claims, full = chapters[:8]
        history, quarantined, cleaned, freed = chapters[8:12]
        self.check_slices(*chapters[12:])
        self.assertRegex(cleaned, r'10de:\w+ +\| cleaning')
        self.assertRegex(cleaned, r'prepared +\| cleaning +\| available')
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
        self.assertIn('state: quarantined', quarantined)
        self.assertIn('3 guests of 3 instances', quarantined)
        self.assertIn('error opening /dev/vfio/7', quarantined)
        self.assertIn('1 quarantined (3 guests of 3', outcome.err)
        # The reasons of the refusal, by host.
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
        self.check_readme(outcome.out + outcome.err)

    def check_slices(self, offered: str, claimed: str, freed: str) -> None:
        """Check the chapters about devices that are no PCI functions."""
        self.assertEqual(
            4, len(re.findall(r'mdev +\| 10de:25b6 +\| available', offered))
        )
        self.assertRegex(offered, r'1-1\.2 +\| usb +\| 1050:0407 +\| avail')
        self.assertRegex(offered, r'1-2 +\| usb +\| 0781:5581 +\| refused')
        self.assertRegex(claimed, r'A quarter of an A16.* \| +3 \| +4 \|')
        self.assertRegex(claimed, r'A YubiKey.* \| +1 \| +2 \|')
        self.assertRegex(freed, r'free +\| allocated +\| cleaning')
        self.assertEqual(
            2, len(re.findall(r'prepared +\| cleaning +\| available', freed))
        )

    def test_api(self) -> None:
        """The user's shell finds this cloud, and no other one."""
        shell = pathlib.Path(self.useFixture(fixtures.TempDir()).path) / 'sh'
        shell.write_text(
            '#!/bin/sh\n'
            'pci-passthrough-manage host list -f value -c Host -c Tracker\n'
            'python -c "import os, urllib.request as u\n'
            "print(u.urlopen(os.environ['OS_ENDPOINT']).status, "
            "'OS_CLOUD' in os.environ)\"\n"
            'exit 7\n'
        )
        shell.chmod(0o755)
        outcome = running.run_program(
            'pci-passthrough-demo', '--api', SHELL=str(shell), OS_CLOUD='x'
        )
        self.assertEqual((7, ''), (outcome.status, outcome.err))
        _, _, told = outcome.out.partition('\nexport OS_DATABASE__CONNECTION=')
        self.assertEqual(
            ['compute-1 up', 'compute-2 up', 'compute-3 up', '200 False'],
            told.splitlines()[1:],
        )

    def check_readme(self, output: str) -> None:
        """Check that each line of the README's excerpt was printed."""
        if not _README.exists():
            self.fail('run this from a checkout: there is no README.rst')
        chapter = _README.read_text().partition('What was seen\n====')[2]
        excerpt = chapter.partition('\nWhere to go on\n====')[0]
        lines = re.findall(r'^   (.+)$', excerpt, flags=re.MULTILINE)
        self.assertGreater(len(lines), 10)
        printed = {_UUID.sub('UUID', line) for line in output.splitlines()}
        stale = [n for n in lines if _UUID.sub('UUID', n) not in printed]
        self.assertEqual([], stale, 'copy these lines from make demo')

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
