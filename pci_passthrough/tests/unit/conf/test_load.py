# SPDX-License-Identifier: Apache-2.0
"""Tests of loading and checking the configuration."""

import pathlib

import fixtures
from oslo_config import cfg
import testtools

from pci_passthrough import conf as conf_module
from pci_passthrough import exception


class LoadTestCase(testtools.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)

    def write(self, name: str, text: str | bytes) -> str:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return str(path)

    def load(self, *args: str) -> cfg.ConfigOpts:
        return conf_module.load(args, 'test', config_files=[])

    def refused(self, text: str | bytes) -> str:
        path = self.write('wrong.conf', text)
        error = self.assertRaises(
            exception.InvalidConfiguration, self.load, f'--config-file={path}'
        )
        return str(error)

    def test_defaults(self) -> None:
        conf = self.load()
        self.assertEqual(
            'sqlite:////var/lib/pci-passthrough/pci_passthrough.sqlite',
            conf.database.connection,
        )
        self.assertEqual([], conf.agent.pci_information)

    def test_files_and_folders_add_up(self) -> None:
        first = self.write('first.conf', '[agent]\npci_information = 1\n')
        self.write('more/b.conf', '[agent]\npci_information = 3\n')
        self.write('more/a.conf', '[agent]\npci_information = 2\n')
        self.write('more/not-read', '[agent]\npci_information = 4\n')
        conf = self.load(
            f'--config-file={first}', f'--config-dir={self.folder}/more'
        )
        self.assertEqual(['1', '2', '3'], conf.agent.pci_information)

    def test_wrong_value(self) -> None:
        text = self.refused('[conductor]\nhost_timeout = soon\n')
        self.assertIn('wrong.conf: [conductor] host_timeout: ', text)
        self.assertIn("'soon'", text)

    def test_wrong_value_without_group(self) -> None:
        text = self.refused('[DEFAULT]\nrate_limit_burst = many\n')
        self.assertIn('wrong.conf: [DEFAULT] rate_limit_burst: ', text)

    def test_wrong_choice_and_bound(self) -> None:
        self.assertIn(
            'vf_placement', self.refused('[conductor]\nvf_placement = all\n')
        )
        self.assertIn(
            'report_interval', self.refused('[agent]\nreport_interval = 0\n')
        )

    def test_no_text_file(self) -> None:
        self.assertIn('cannot be read', self.refused(b'[agent]\n\xff = 1\n'))

    def test_missing(self) -> None:
        for argument in ('--config-file=/nowhere', '--config-dir=/nowhere'):
            self.assertRaises(cfg.Error, self.load, argument)

    def test_no_configuration_syntax(self) -> None:
        path = self.write('wrong.conf', 'a b c\n')
        self.assertRaises(cfg.Error, self.load, f'--config-file={path}')

    def test_loading_twice(self) -> None:
        self.assertIsNot(self.load(), self.load())


class OptionsTestCase(testtools.TestCase):
    def test_listed_options_are_the_registered_ones(self) -> None:
        conf = cfg.ConfigOpts()
        conf_module.register_opts(conf)
        conf([], default_config_files=[])
        for group, options in conf_module.list_opts():
            for option in options:
                named = conf if group in (None, 'DEFAULT') else conf[group]
                self.assertIn(option.dest, named)
