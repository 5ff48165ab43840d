# SPDX-License-Identifier: Apache-2.0
"""Tests of installing the Nova plugin by ``config_source``."""

import fixtures
from oslo_config import cfg
import testtools

from pci_passthrough import exception
from pci_passthrough.nova_plugin.install import bootstrap

_CONF = """
[DEFAULT]
config_source = {group}
debug_level = 7

[{group}]
driver = pci_passthrough
"""


class ConfigSourceTestCase(testtools.TestCase):
    """oslo.config loads the driver by its entry point."""

    def setUp(self) -> None:
        super().setUp()
        self.install = self.useFixture(
            fixtures.MockPatchObject(bootstrap, 'install', autospec=True)
        ).mock

    def load(
        self,
        project: str | None = 'nova',
        prog: str | None = 'nova-compute',
        group: str = 'pci_passthrough',
    ) -> cfg.ConfigOpts:
        path = self.useFixture(fixtures.TempDir()).join('nova.conf')
        with open(path, 'w') as file:
            file.write(_CONF.format(group=group))
        conf = cfg.ConfigOpts()
        conf.register_opt(cfg.IntOpt('debug_level', default=1))
        conf.register_opt(cfg.IntOpt('other', default=2))
        conf([], project=project, prog=prog, default_config_files=[path])
        # Other options have their values in spite of the source.
        self.assertEqual((7, 2), (conf.debug_level, conf.other))
        return conf

    def test_services(self) -> None:
        for prog in ('nova-compute', 'nova-scheduler', 'uwsgi', None):
            conf = self.load(prog=prog)
            self.install.assert_called_once_with(conf)
            self.install.reset_mock()

    def test_other_programs(self) -> None:
        self.load(project='privsep', prog='privsep-helper')
        # Nova 34 reads its files before eventlet patches anything.
        self.load(project=None, prog='nova-compute')
        for prog in ('nova-manage', 'nova-status', 'nova-novncproxy'):
            self.load(prog=prog)
        self.install.assert_not_called()

    def test_failure_ends_the_process(self) -> None:
        self.install.side_effect = exception.UnsupportedNova('Nova is new')
        error = self.assertRaises(SystemExit, self.load)
        self.assertEqual(
            'nova-compute: pci_passthrough: Nova is new', str(error)
        )

    def test_defect_ends_the_process(self) -> None:
        self.install.side_effect = KeyError('x')
        self.assertRaises(SystemExit, self.load)

    def test_group_of_another_name(self) -> None:
        error = self.assertRaises(SystemExit, self.load, group='pci')
        self.assertIn('must be named pci_passthrough', str(error))
        self.install.assert_not_called()
