# SPDX-License-Identifier: Apache-2.0
"""Tests of reading the form of a symbol from Nova's source."""

import testtools

from pci_passthrough.nova_plugin.install import nova_source
from pci_passthrough.nova_plugin.install import symbols
from pci_passthrough.tests.unit.nova_plugin import made_up_nova

_NAMES = ('Pools', 'Pools.version', 'Pools.count', 'Pools.take', 'make')


class FormTestCase(testtools.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.nova = self.useFixture(made_up_nova.MadeUpNova())
        self.nova.write('nova.pci.pools', made_up_nova.POOLS)
        self.original = self.forms()

    def form(self, name: str) -> nova_source.Form | None:
        return nova_source.form_of(
            symbols.Symbol('nova.pci.pools', name, symbols.Use.CALLED, 'why')
        )

    def forms(self) -> dict[str, nova_source.Form | None]:
        return {name: self.form(name) for name in _NAMES}

    def changed(self, old: str, new: str) -> set[str]:
        """Change the source; return the names whose form differs."""
        self.assertIn(old, made_up_nova.POOLS)
        self.nova.write('nova.pci.pools', made_up_nova.POOLS.replace(old, new))
        return {
            name
            for name, form in self.forms().items()
            if form != self.original[name]
        }

    def signature(self, name: str) -> str | None:
        form = self.form(name)
        return form.signature if form else None

    def test_signatures(self) -> None:
        for name, signature in (
            ('Pools', 'class Pools(object)'),
            ('Pools.version', 'an attribute'),
            ('Pools.count', 'count(self)'),
            ('Pools.take', 'take(self, number, *, numa=None)'),
            ('make', 'make(devices)'),
            ('Pools.gone', None),
            ('gone.take', None),
        ):
            self.assertEqual(signature, self.signature(name), name)

    def test_missing_module(self) -> None:
        self.nova.remove('nova.pci.pools')
        self.assertIsNone(self.form('make'))

    def test_comments_docstrings_and_annotations_do_not_count(self) -> None:
        for old, new in (
            ('# The first ones.', '# Those in front.'),
            ('"""How many."""', '"""Number.\n\n        All.\n        """'),
            ('        """How many."""\n', ''),
            ('def count(self):', 'def count(self) -> int:'),
            ('devices=None', 'devices: list[str] | None = None'),
            ("version = '1.0'", "version: str = '1.0'"),
            ("version = '1.0'", "name: str\n    version = '1.0'"),
            ('len(self.devices)', 'len(\n            self.devices)'),
            ("'1.0'", '"1.0"'),
            ('import sys', 'import os'),
        ):  # fmt: skip
            self.assertEqual(set(), self.changed(old, new), new)

    def test_code_counts(self) -> None:
        for old, new, name in (
            ('len(self.devices)', 'len(self.devices) + 1', 'Pools.count'),
            ('[:number]', '[number:]', 'Pools.take'),
            ('not self.devices', 'self.devices', 'Pools.take'),
            ('ValueError(', 'KeyError(', 'Pools.take'),
            ('none of {number} left', 'none of {number:d} left', 'Pools.take'),
            ("'1.0'", "'1.1'", 'Pools.version'),
            ('@property', '@functools.cached_property', 'Pools.count'),
            ('return Pools(devices)', 'return Pools(list(devices))', 'make'),
            ('return Pools(devices)', 'return Pools(devices), 0', 'make'),
        ):
            self.assertIn(name, self.changed(old, new), new)

    def test_class_without_the_code_of_its_methods(self) -> None:
        for old, new in (
            ('Pools(object)', 'Pools(dict)'),
            ("version = '1.0'", "version = '1.0'\n    limit = 3"),
            ('    @property', '    def give(me):\n        1\n\n    @property'),
        ):  # fmt: skip
            self.assertIn('Pools', self.changed(old, new), new)
        self.assertEqual(
            {'Pools.take'}, self.changed('[:number]', '[number:]')
        )
