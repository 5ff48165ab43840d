# SPDX-License-Identifier: Apache-2.0
"""``pci-passthrough-agent --once --dry-run``: the devices of a host."""

import pathlib
import re

import fixtures
import testtools

from pci_passthrough.demo import inventory
from pci_passthrough.demo import testdriver
from pci_passthrough.tests.functional.cmd import running

_NICS = '{"match": {"class": "network"}, "extra_info": {"group": "100g"}}'
_DISKS = '{"class": "storage", "group": "scratch"}'
_GPUS = '[{"class": "display"}, {"e.group": "gpu"}]'
_NO_AUDIO = '{"match": {"class": "multimedia"}, "exclude": true}'

#: Where nothing listens: whoever connects fails.
_NOBODY = 'qemu+tcp://127.0.0.1:1/system'


class DryRunTestCase(testtools.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.model = inventory.build_host(
            inventory.HostShape(
                'compute',
                nics=1,
                vfs=2,
                management_nic=True,
                system_disk=True,
                lvm_disk=True,
                nvmes=3,
                crypto_cards=1,
            )
        )
        self.written = testdriver.write_host(self.model, self.folder)

    def configure(
        self, *entries: str, name: str = 'agent.conf', more: str = ''
    ) -> str:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        lines = [f'pci_information = {entry}\n' for entry in entries]
        path.write_text('[agent]\n' + ''.join(lines) + more)
        return str(path)

    def run_agent(
        self, config: str, *words: str, uri: str | None = None
    ) -> running.Outcome:
        return running.run_program(
            'pci-passthrough-agent',
            '--once',
            '--dry-run',
            '--connect',
            uri or self.written.uri,
            f'--config-file={config}',
            *words,
        )

    def with_root(self, *entries: str) -> str:
        return self.configure(
            *entries, more=f'host_root = {self.written.host_root}\n'
        )

    def refused(self, outcome: running.Outcome) -> str:
        """Check that the program fails; return its one line of error."""
        self.assertEqual((1, ''), (outcome.status, outcome.out))
        # libxml2 itself complains of a file that is not there.
        [line] = [
            line
            for line in outcome.err.splitlines()
            if not line.startswith('I/O ')
        ]
        self.assertTrue(line.startswith('pci-passthrough-agent: '), line)
        return line

    def test_each_kind_of_device(self) -> None:
        outcome = self.run_agent(
            self.with_root(_NO_AUDIO, _NICS, _DISKS, _GPUS)
        )
        self.assertEqual((0, ''), (outcome.status, outcome.err))
        lines = outcome.out.splitlines()
        by_address = {
            line.split()[0]: line for line in lines if line[:2] == '  '
        }
        for device in self.model.devices.values():
            class_code = device.model.class_code >> 16
            if class_code not in (1, 2, 3):
                self.assertNotIn(device.address, by_address)
                continue
            line = by_address[device.address]
            ids = f'{device.model.vendor_id:04x}:{device.model.product_id:04x}'
            self.assertIn(f' {ids} numa={device.numa_node} entry=', line)
            kind = 'PF' if device.vfs else 'PCI'
            if device.physical_function:
                kind = 'VF'
            self.assertIn(f' type-{kind} ', line)
        self.assertIn(' entry=1 group=100g', outcome.out)
        self.assertIn(' entry=3 group=gpu', outcome.out)
        refused = lines.index('4 devices match, but are refused:')
        self.assertEqual(
            [
                'its network interface eno1 carries the default route',
                'it is the boot VGA device, which an entry must name, for '
                'example by vendor_id and product_id',
                'its disk nvme0n1p1 is mounted at /boot/efi',
                'its disk nvme2n1 is held by dm-0',
            ],
            [line.split(': ')[1] for line in lines[refused + 1 : refused + 5]],
        )
        self.assertIn(f'  entry 0 excludes  {_NO_AUDIO}', lines)
        self.assertIn(f'  entry 1        4  {_NICS}', lines)
        self.assertIn(f'  entry 3        3  {_GPUS}', lines)

    def test_shared_iommu_group(self) -> None:
        entry = '{"product_id": ["2684", "22ba"]}'
        outcome = self.run_agent(self.with_root(entry))
        self.assertIn(': 2 devices would be offered:', outcome.out)
        (group,) = (
            addresses
            for addresses in self.model.groups().values()
            if len(addresses) > 1
        )
        self.assertRegex(
            outcome.out,
            f'of one IOMMU group .*:\n  IOMMU group \\d+: {group[0]}, '
            f'{group[1]}\n',
        )
        outcome = self.run_agent(self.with_root('{"product_id": "2684"}'))
        self.assertNotIn('of one IOMMU group', outcome.out)
        self.assertIn(
            f'entry=0: other functions of its IOMMU group are bound to '
            f'drivers of the host and not offered: {group[1]} '
            '(snd_hda_intel)\n',
            outcome.out,
        )

    def test_nothing_matches(self) -> None:
        outcome = self.run_agent(self.with_root('{"vendor_id": "ffff"}'))
        self.assertEqual((0, ''), (outcome.status, outcome.err))
        self.assertIn(': 0 devices would be offered:', outcome.out)
        self.assertIn('  entry 0        0  ', outcome.out)
        self.assertRegex(
            outcome.out,
            'entry 0 applies to no device: nearest is [0-9a-f:.]+, with '
            'vendor_id [0-9a-f]{4} instead of "ffff": {"vendor_id": "ffff"}',
        )

    def test_name_that_lspci_has_for_another_class(self) -> None:
        """The crypto card is a co-processor for lspci, of class 0b40."""
        outcome = self.run_agent(self.with_root('{"class": "coprocessor"}'))
        self.assertEqual((0, ''), (outcome.status, outcome.err))
        self.assertIn(
            'with class 0b4000 instead of "coprocessor" (base class 40, not '
            '0b40, which lspci calls Co-processor)',
            outcome.out,
        )

    def test_probably_not_meant(self) -> None:
        narrow = '{"match": {"class": "020000"}, "exclude": true}'
        path = self.with_root('{"class": ["02*", "020000"]}', narrow, _DISKS)
        outcome = self.run_agent(path)
        self.assertEqual((3, ''), (outcome.status, outcome.err))
        *_, title, finding = outcome.out.splitlines()
        self.assertEqual('Probably not what is meant:', title)
        self.assertIn(f'  entry 1 {narrow}: excludes no device: ', finding)
        (self.folder / 'none.conf').write_text(
            f'[agents]\npci_information = {_DISKS}\n'
        )
        outcome = self.run_agent(str(self.folder / 'none.conf'))
        self.assertEqual(3, outcome.status)
        self.assertIn('did you mean [agent] pci_information?', outcome.out)

    def test_handlers(self) -> None:
        gpus = '{"match": {"class": "display"}, "handler": "%s"}'
        outcome = self.run_agent(self.with_root(gpus % 'reset'))
        self.assertEqual((0, ''), (outcome.status, outcome.err))
        self.assertIn(' handlers=reset\n', outcome.out)
        outcome = self.run_agent(self.with_root(gpus % 'nvme-sanitize'))
        self.assertEqual(3, outcome.status)
        self.assertRegex(
            outcome.out,
            r"entry 0 .*: key 'handler': nvme-sanitize cannot prepare "
            r'0000:\S+, .*: it is not made for a type-PCI of class 030200',
        )
        self.assertIn(
            "there is no handler 'rest'; known are: command, driver",
            self.refused(self.run_agent(self.with_root(gpus % 'rest'))),
        )

    def test_default_handlers(self) -> None:
        outcome = self.run_agent(self.with_root(_GPUS, _NICS))
        self.assertEqual((0, ''), (outcome.status, outcome.err))
        self.assertIn(' group=gpu handlers=reset\n', outcome.out)
        self.assertEqual(1, len({*re.findall(r'handlers=\S*', outcome.out)}))
        self.assertNotIn('has no handler', outcome.out)
        root = pathlib.Path(self.written.host_root)
        for address, device in self.model.devices.items():
            if device.model.class_code >> 16 == 3:
                (root / 'sys' / self.model.path(address) / 'reset').unlink()
        outcome = self.run_agent(self.with_root(_GPUS))
        self.assertEqual((0, ''), (outcome.status, outcome.err))
        self.assertNotIn('handlers=', outcome.out)
        self.assertIn(
            ' has no handler, no reset: the kernel offers no reset',
            outcome.out,
        )
        named = '{"match": {"class": "display"}, "handler": "reset"}'
        outcome = self.run_agent(self.with_root(named))
        self.assertEqual((3, ''), (outcome.status, outcome.err))
        self.assertRegex(
            outcome.out,
            r'reset cannot prepare \S+, which will be quarantined: the kernel '
            r'offers no reset',
        )

    def test_no_pci_information(self) -> None:
        outcome = self.run_agent(self.configure())
        self.assertEqual((0, ''), (outcome.status, outcome.err))
        self.assertEqual(
            'No [agent] pci_information: this host offers nothing.\n',
            outcome.out,
        )

    def test_use_by_the_host_is_not_known(self) -> None:
        outcome = self.run_agent(self.configure(_NICS))
        self.assertEqual(0, outcome.status)
        self.assertIn('Not checked: ', outcome.out)
        self.assertNotIn('refused', outcome.out)

    def test_folder_adds_up(self) -> None:
        config = self.configure(_DISKS)
        self.configure(_NICS, name='more/nics.conf')
        self.configure(_GPUS, name='more/gpus.conf')
        outcome = self.run_agent(config, f'--config-dir={self.folder}/more')
        self.assertEqual(0, outcome.status)
        for number, entry in enumerate((_DISKS, _GPUS, _NICS)):
            self.assertIn(f'  entry {number} ', outcome.out)
            self.assertIn(f'  {entry}\n', outcome.out)

    def test_malformed_before_libvirt_is_looked_at(self) -> None:
        for entry, text in (
            ('{"match": {"vendor_id": "8086"}', 'not JSON'),
            ('{"match": {"colour": "red"}}', 'colour'),
            ('{"vendor_di": "8086"}', "did you mean 'vendor_id'"),
        ):
            line = self.refused(
                self.run_agent(self.configure(_NICS, entry), uri=_NOBODY)
            )
            self.assertIn(entry, line)
            self.assertIn(text, line)
            self.assertIn('right would be, for example', line)
        line = self.refused(
            self.run_agent(
                self.configure(_NICS, more='scan_interval = never\n'),
                uri=_NOBODY,
            )
        )
        self.assertIn('[agent] scan_interval', line)
        # With a valid configuration the same address is used.
        line = self.refused(self.run_agent(self.configure(_NICS), uri=_NOBODY))
        self.assertIn(_NOBODY, line)

    def test_neither_database_nor_broker_nor_log_is_touched(self) -> None:
        config = self.folder / 'all.conf'
        config.write_text(
            '[DEFAULT]\n'
            'transport_url = rabbit://me:s3cret@127.0.0.1:1/\n'
            'log_file = /nowhere/agent.log\n'
            'state_path = /nowhere\n'
            '[database]\n'
            'connection = mysql+pymysql://me:s3cret@127.0.0.1:1/pci\n'
            f'[agent]\npci_information = {_NICS}\n'
        )
        outcome = self.run_agent(str(config))
        self.assertEqual((0, ''), (outcome.status, outcome.err))
        self.assertIn(': 4 devices would be offered:', outcome.out)

    def test_libvirt_is_not_there(self) -> None:
        config = self.configure(_NICS)
        for uri in (
            f'qemu:///system?socket={self.folder}/none',
            f'test://{self.folder}/none.xml',
            'nonsense:///system',
        ):
            self.assertIn(uri, self.refused(self.run_agent(config, uri=uri)))

    def test_dry_run_is_for_once(self) -> None:
        outcome = running.run_program(
            'pci-passthrough-agent',
            '--dry-run',
            f'--config-file={self.configure(_NICS)}',
        )
        self.assertIn('--once --dry-run', self.refused(outcome))

    def test_wrong_transport(self) -> None:
        outcome = running.run_program(
            'pci-passthrough-agent',
            '--once',
            f'--config-file={self.configure(_NICS)}',
            f'--config-file={self.transport("me:s3cret@mq")}',
        )
        self.assertEqual(1, outcome.status)
        self.assertIn('transport_url', outcome.err)
        self.assertNotIn('s3cret', outcome.err + outcome.out)
        self.assertNotIn('Traceback', outcome.err + outcome.out)

    def transport(self, url: str) -> pathlib.Path:
        path = self.folder / 'transport.conf'
        path.write_text(f'[DEFAULT]\ntransport_url = {url}\n')
        return path
