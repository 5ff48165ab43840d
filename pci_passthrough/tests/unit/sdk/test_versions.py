# SPDX-License-Identifier: Apache-2.0
"""Choice of the microversion."""

from openstack import exceptions
import testtools

from pci_passthrough.sdk import versions


class ParseTestCase(testtools.TestCase):
    def test_right(self) -> None:
        for text, parsed in (
            ('1.0', '1.0'),
            ('1.23', '1.23'),
            ('1', None),
            ('latest', None),
            ('1.latest', None),
        ):
            self.assertEqual(parsed, versions.parse(text))

    def test_wrong(self) -> None:
        for text in ('', '2', '2.0', '1.01', '1.', 'v1', '1.0.0', 'newest'):
            error = self.assertRaises(
                exceptions.NotSupported, versions.parse, text
            )
            self.assertIn('latest', str(error))


class ChooseTestCase(testtools.TestCase):
    def choose(self, requested: str | None, oldest: int, newest: int) -> str:
        service = versions.Served('http://x/v1', (1, oldest), (1, newest))
        return versions.choose(requested, service)

    def test_newest_of_both(self) -> None:
        self.assertEqual('1.0', self.choose(None, 0, 0))
        self.assertEqual('1.4', self.choose(None, 0, 12))

    def test_nothing_in_common(self) -> None:
        error = self.assertRaises(
            exceptions.NotSupported, self.choose, None, 5, 6
        )
        self.assertIn('1.5 to 1.6', str(error))
        self.assertIn('1.0 to 1.4', str(error))

    def test_named_by_the_user(self) -> None:
        self.assertEqual('1.7', self.choose('1.7', 0, 10))

    def test_not_there(self) -> None:
        for requested in ('1.1', '1.11'):
            error = self.assertRaises(
                exceptions.NotSupported, self.choose, requested, 2, 10
            )
            self.assertIn(requested, str(error))
            self.assertIn('1.2 to 1.10', str(error))
