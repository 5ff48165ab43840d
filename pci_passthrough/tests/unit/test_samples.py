# SPDX-License-Identifier: Apache-2.0
"""The samples that the wheel brings are those of the code."""

import pathlib
from typing import Final

import fixtures
from oslo_config import cfg
from oslo_config import generator as config_generator
from oslo_policy import generator as policy_generator
from oslotest import base

from pci_passthrough.tests import install_page

_ETC: Final = install_page.ROOT / 'etc'
_SAMPLES: Final = _ETC / 'pci_passthrough/samples'


class SamplesTest(base.BaseTestCase):
    """``make genconfig`` writes the samples anew."""

    def setUp(self) -> None:
        super().setUp()
        # The generators give a process without logging one.
        self.useFixture(fixtures.FakeLogger())

    def check(self, name: str, written: pathlib.Path) -> None:
        """Compare a sample with the one that the code has."""
        self.assertTrue(
            written.read_text() == (_SAMPLES / name).read_text(),
            f'{name} is old: run make genconfig',
        )

    def test_options(self) -> None:
        for name, config in (
            ('pci_passthrough.conf', 'pci_passthrough/samples-generator.conf'),
            ('nova.conf', 'nova/config-generator.conf'),
        ):
            written = pathlib.Path(self.create_tempfiles([('sample', '')])[0])
            words = [f'--config-file={_ETC / config}']
            config_generator.main([*words, f'--output-file={written}'])
            self.check(name, written)

    def test_policies(self) -> None:
        written = pathlib.Path(self.create_tempfiles([('sample', '')])[0])
        config = _ETC / 'pci_passthrough/policy-generator.conf'
        policy_generator.generate_sample(
            [f'--config-file={config}', f'--output-file={written}'],
            cfg.ConfigOpts(),
        )
        self.check('policy.yaml', written)

    def test_nothing_is_set(self) -> None:
        """A sample that is put into place whole changes nothing."""
        for path in _SAMPLES.iterdir():
            lines = [
                line
                for line in path.read_text().splitlines()
                if line and not line.startswith(('#', '['))
            ]
            self.assertEqual([], lines)
