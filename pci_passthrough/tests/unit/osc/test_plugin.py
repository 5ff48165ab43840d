# SPDX-License-Identifier: Apache-2.0
"""The option of the version, as osc-lib needs it."""

import argparse

from osc_lib import exceptions
import testtools

from pci_passthrough.osc import plugin


class PluginTestCase(testtools.TestCase):
    def test_option(self) -> None:
        parser = plugin.build_option_parser(
            argparse.ArgumentParser(exit_on_error=False)
        )
        option = '--os-pci-passthrough-api-version'
        for given, kept in (('latest', '1.latest'), ('1.0', '1.0')):
            parsed = vars(parser.parse_args([option, given]))
            self.assertEqual(kept, parsed[plugin.API_VERSION_OPTION])
        self.assertRaises(
            argparse.ArgumentError, parser.parse_args, [option, '2.0']
        )

    def test_configured_otherwise(self) -> None:
        for version in (plugin.DEFAULT_API_VERSION, '1.0', '1.latest'):
            self.assertTrue(plugin.check_api_version(version))
        for version in ('2.0', 'latest'):
            self.assertRaises(
                exceptions.CommandError, plugin.check_api_version, version
            )
