# SPDX-License-Identifier: Apache-2.0
"""Tests that the installed Nova is a tested one, and loads entry points."""

import importlib
from importlib import metadata
import pkgutil
import sys
from typing import Any

import testtools

from pci_passthrough.nova_plugin import compat
from pci_passthrough.nova_plugin.install import replacements
from pci_passthrough.nova_plugin.install import symbols
from pci_passthrough.nova_plugin.install import verify

#: Packages beside Nova that compat imports; they are not verified.
_OTHERS = ('neutronclient', 'os_vif', 'webob')


class VerifyTestCase(testtools.TestCase):
    def test_this_nova_fits(self) -> None:
        self.assertEqual([], list(map(str, verify.differences())))

    def test_this_nova_is_recorded(self) -> None:
        self.assertIn(verify.nova_version(), verify.tested_releases())

    def test_every_imported_name_is_verified(self) -> None:
        known = {str(symbol) for symbol in symbols.SYMBOLS}
        missing = []
        for info in pkgutil.iter_modules(compat.__path__):
            module = importlib.import_module(f'{compat.__name__}.{info.name}')
            for name in module.__all__:
                where = _definition(getattr(module, name))
                if where and not _is_within(where, known):
                    missing.append(f'{module.__name__}.{name}: {where}')
        self.assertEqual([], missing)

    def test_every_replacement_can_be_loaded(self) -> None:
        for replacement in replacements.REPLACEMENTS:
            self.assertTrue(callable(replacement.load()), str(replacement))

    def test_nothing_else_is_imported_to_verify(self) -> None:
        before = {name for name in sys.modules if name[:5] == 'nova.'}
        verify.inspect.cache_clear()
        verify.differences()
        after = {name for name in sys.modules if name[:5] == 'nova.'}
        self.assertEqual(before, after)


def _definition(imported: Any) -> str | None:
    """Return the module and name of a definition in Nova.

    :returns: None for one of another package.
    """
    module = str(getattr(imported, '__module__', None) or imported.__name__)
    if module.partition('.')[0] in _OTHERS:
        return None
    return f'{module}:{getattr(imported, "__qualname__", "")}'


def _is_within(where: str, known: set[str]) -> bool:
    """Whether a definition, or a part of it, is verified."""
    return any(
        symbol == where or symbol.startswith(f'{where}.') for symbol in known
    )


class EntryPointsTestCase(testtools.TestCase):
    def test_those_of_nova_load(self) -> None:
        """Entry points of the clients do not load without their libraries."""
        groups = {
            'nova.api.extra_spec_validators',
            'os_vif',
            'oslo.config.driver',
            'paste.filter_factory',
        }
        points = [
            point
            for point in metadata.distribution('pci_passthrough').entry_points
            if point.group in groups
        ]
        self.assertEqual(groups, {point.group for point in points})
        for point in points:
            self.assertIsNotNone(point.load(), point.name)
