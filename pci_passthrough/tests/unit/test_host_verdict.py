# SPDX-License-Identifier: Apache-2.0
"""The file by which a host's agent tells its nova-compute what may leave."""

import json
import os
import pathlib
import time
from typing import Any

import fixtures
import testtools

from pci_passthrough import host_verdict

HOST = 'compute-1.example.org'
GPU = host_verdict.hardware('10de', '20f1')
VERDICT = host_verdict.Verdict(
    {'0000:81:00.0': GPU, '1050-0407': ''},
    {'0000:82:00.0': 'its disk is mounted'},
)


class VerdictTest(testtools.TestCase):
    def test_reasons(self) -> None:
        for address, hardware, reason in (
            ('0000:81:00.0', GPU, None),
            ('0000:81:00.0', '8086:1889', 'the host offers 10de:20f1 there'),
            ('1050-0407', '', None),
            ('1050-0407', GPU, 'the host offers something else there'),
            ('0000:82:00.0', GPU, 'its disk is mounted'),
            (
                '0000:83:00.0',
                GPU,
                'the host does not have it, or no entry of pci_information '
                'offers it',
            ),
        ):
            self.assertEqual(reason, VERDICT.reason_against(address, hardware))


class PublishedTest(testtools.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.useFixture(fixtures.NestedTempfile())
        root = self.useFixture(fixtures.TempDir()).path
        self.folder = pathlib.Path(root) / 'run/pci'
        self.publisher = host_verdict.Publisher(str(self.folder), HOST)
        self.path = host_verdict.path_of(self.folder, HOST)
        self.reader = host_verdict.Reader(self.folder, HOST, 60)

    def refused(self) -> str:
        error = self.assertRaises(host_verdict.NoVerdict, self.reader.read)
        self.assertIn(str(self.path), str(error))
        return str(error)

    def change(self, **values: Any) -> None:
        document = json.loads(self.path.read_text())
        self.path.write_text(json.dumps(document | values))

    def document(self) -> dict[str, Any]:
        return dict(json.loads(self.path.read_text()))

    def test_published(self) -> None:
        self.publisher.check()
        self.publisher.publish(VERDICT)
        self.assertEqual(VERDICT, self.reader.read())
        self.assertEqual([self.path.name], os.listdir(self.folder))
        self.assertEqual(0o644, self.path.stat().st_mode & 0o777)

    def test_each_host_has_a_file(self) -> None:
        for host in ('../etc/passwd', 'compute/1', HOST):
            path = host_verdict.path_of(self.folder, host)
            self.assertEqual(self.folder, path.parent)

    def test_generation_rises_with_each_change_only(self) -> None:
        self.publisher.publish(VERDICT)
        first = self.document()
        self.publisher.publish(VERDICT)
        self.publisher.renew()
        self.assertEqual(first['generation'], self.document()['generation'])
        self.publisher.publish(host_verdict.Verdict({}, {}))
        self.assertGreater(self.document()['generation'], first['generation'])

    def test_renewed(self) -> None:
        self.publisher.publish(VERDICT)
        self.change(uptime=0)
        self.assertIn('older than 60 seconds', self.refused())
        self.publisher.renew()
        self.assertEqual(VERDICT, self.reader.read())

    def test_nothing_to_renew(self) -> None:
        self.publisher.renew()
        self.assertIn('does pci-passthrough-agent run?', self.refused())

    def test_of_this_start_of_the_host(self) -> None:
        self.assertFalse(self.publisher.is_current())
        self.publisher.publish(VERDICT)
        self.change(uptime=0)
        self.assertTrue(self.publisher.is_current())
        self.change(boot_id='another')
        self.assertFalse(self.publisher.is_current())
        self.assertIn('another host, start or release', self.refused())

    def test_of_something_else(self) -> None:
        self.publisher.publish(VERDICT)
        good = self.path.read_text()
        future = time.clock_gettime(time.CLOCK_BOOTTIME) + 3600
        for values in (
            {'host': 'compute-2'}, {'format': 2}, {'uptime': future},
            {'uptime': None}, {'offered': None}, {'offered': ['81:00.0']},
        ):  # fmt: skip
            self.path.write_text(good)
            self.change(**values)
            self.refused()
        for text in ('', '{', '[]', 'null', good[:-9]):
            self.path.write_text(text)
            self.assertIn('it is no verdict', self.refused())

    def test_written_by_others(self) -> None:
        self.publisher.publish(VERDICT)
        for path, mode in (
            (self.path, 0o666), (self.path, 0o664), (self.folder, 0o777),
        ):  # fmt: skip
            before = path.stat().st_mode
            path.chmod(mode)
            self.assertIn('others than the agent', self.refused())
            path.chmod(before)
        self.assertEqual(VERDICT, self.reader.read())

    def test_a_link_is_not_followed(self) -> None:
        self.publisher.publish(VERDICT)
        elsewhere = self.folder.parent / 'elsewhere'
        self.path.rename(elsewhere)
        self.path.symlink_to(elsewhere)
        self.refused()

    def test_what_was_there_remains(self) -> None:
        """A failed write leaves neither half a file nor a temporary one."""
        self.publisher.publish(VERDICT)
        bad = host_verdict.Verdict({'0000:81:00.0': b''}, {})  # type: ignore[dict-item]
        self.assertRaises(TypeError, self.publisher.publish, bad)
        self.assertEqual(VERDICT, self.reader.read())
        self.assertEqual([self.path.name], os.listdir(self.folder))

    def test_no_room(self) -> None:
        self.folder.parent.mkdir()
        self.folder.write_text('a file')
        self.assertRaises(OSError, self.publisher.check)
        self.assertRaises(OSError, self.publisher.publish, VERDICT)
