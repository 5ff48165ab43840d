# SPDX-License-Identifier: Apache-2.0
"""Reloading: a usable configuration is used, a bad one is only logged."""

import pathlib

import fixtures
from oslo_config import cfg
from oslo_service import opts
import testtools

from pci_passthrough import conf as conf_module
from pci_passthrough import exception
from pci_passthrough.services import reloading


class _Picky:
    """A service that works only for the host ``good``."""

    def __init__(self) -> None:
        self.taken: list[cfg.ConfigOpts] = []

    def reconfigure(self, conf: cfg.ConfigOpts) -> None:
        if not conf.host.startswith('good'):
            raise exception.InvalidConfiguration(f'no such\nhost {conf.host}')
        self.taken.append(conf)


class ReloadingTest(testtools.TestCase):
    def setUp(self) -> None:
        super().setUp()
        # Threads of other tests may still log.
        self.logger = self.useFixture(fixtures.FakeLogger(reloading.__name__))
        folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.config = folder / 'agent.conf'
        self.service = _Picky()
        self.write('host = good')
        conf = self.load()
        opts.register_service_opts(conf)
        self.conf = reloading._LaunchedConf(conf, self.service, self.load)

    def load(self) -> cfg.ConfigOpts:
        return conf_module.load([f'--config-file={self.config}'], 'test')

    def write(self, text: str) -> None:
        self.config.write_text(f'[DEFAULT]\n{text}\n')

    def test_new_one_is_taken(self) -> None:
        self.write('host = good-too\ngraceful_shutdown_timeout = 7')
        self.assertTrue(self.conf.reload_config_files())
        self.assertEqual('good-too', self.service.taken[-1].host)
        self.assertEqual(7, self.conf.graceful_shutdown_timeout)

    def test_unusable_one_is_said_in_one_line(self) -> None:
        for number, text in enumerate(
            (
                'host = bad',
                'host = good\n[agent]\nscan_interval = never',
                'host = good\ngraceful_shutdown_timeout = never',
                'no option at all',
            ),
            1,
        ):
            self.write(text)
            self.assertFalse(self.conf.reload_config_files())
            self.assertEqual(number, len(self.logger.output.splitlines()))
        self.config.write_bytes(b'[DEFAULT]\nhost = \xff\n')
        self.assertFalse(self.conf.reload_config_files())
        self.config.unlink()
        self.assertFalse(self.conf.reload_config_files())
        self.assertEqual([], self.service.taken)
        self.assertEqual('good', self.conf.host)
        self.assertIn('no such host bad', self.logger.output)
        self.assertIn('[agent] scan_interval', self.logger.output)
        self.assertNotIn('Traceback', self.logger.output)
