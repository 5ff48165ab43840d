# SPDX-License-Identifier: Apache-2.0
"""Choice of the microversion."""

import argparse
from typing import Any

from osc_lib import exceptions
import testtools

from pci_passthrough.osc import errors
from pci_passthrough.osc import microversion
from pci_passthrough.osc import plugin


def _document(oldest: str, newest: str) -> dict[str, Any]:
    return {
        'versions': [
            {'id': 'v0.9'},
            {'id': 'v1.0', 'min_version': oldest, 'max_version': newest},
        ]
    }


class ParseTestCase(testtools.TestCase):
    def test_right(self) -> None:
        for text, parsed in (
            ('1.0', '1.0'),
            ('1.23', '1.23'),
            ('1', '1.latest'),
            ('latest', '1.latest'),
            ('1.latest', '1.latest'),
        ):
            self.assertEqual(parsed, microversion.parse(text))

    def test_wrong(self) -> None:
        for text in ('', '2', '2.0', '1.01', '1.', 'v1', '1.0.0', 'newest'):
            error = self.assertRaises(
                errors.VersionUnsupported, microversion.parse, text
            )
            self.assertIn('latest', str(error))


class ServedTestCase(testtools.TestCase):
    def test_document_of_all_versions(self) -> None:
        self.assertEqual(
            microversion.Range(2, 11),
            microversion.served(_document('1.2', '1.11')),
        )

    def test_document_of_one_version(self) -> None:
        document = {'version': _document('1.0', '1.3')['versions'][1]}
        self.assertEqual(
            microversion.Range(0, 3), microversion.served(document)
        )

    def test_anything_else(self) -> None:
        documents: tuple[Any, ...] = (
            None, [], 'text', {}, {'versions': []}, {'versions': [{}]},
            {'version': {'id': 'v1'}}, {'versions': [{'id': 'v2.0'}]},
            _document('', ''), _document('1', '1'), _document('1.0', '2.0'),
        )  # fmt: skip
        for document in documents:
            self.assertIsNone(microversion.served(document))


class ChooseTestCase(testtools.TestCase):
    def choose(self, wanted: str, oldest: int, newest: int) -> str:
        service = microversion.Range(oldest, newest)
        return microversion.choose(wanted, service)

    def test_newest_of_both(self) -> None:
        self.assertEqual('1.0', self.choose(microversion.NEWEST, 0, 0))
        newest = f'1.{microversion.KNOWN.newest}'
        self.assertEqual(newest, self.choose(microversion.NEWEST, 0, 12))

    def test_nothing_in_common(self) -> None:
        error = self.assertRaises(
            errors.VersionUnsupported, self.choose, microversion.NEWEST, 5, 6
        )
        self.assertIn('1.5 to 1.6', str(error))
        self.assertIn(str(microversion.KNOWN), str(error))

    def test_named_by_the_user(self) -> None:
        self.assertEqual('1.7', self.choose('1.7', 0, 10))

    def test_not_there(self) -> None:
        for wanted in ('1.1', '1.11'):
            error = self.assertRaises(
                errors.VersionUnsupported, self.choose, wanted, 2, 10
            )
            self.assertIn(wanted, str(error))
            self.assertIn('1.2 to 1.10', str(error))


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
