# SPDX-License-Identifier: Apache-2.0
"""Tests of replacing Nova's functions, before and after their import."""

import importlib
import inspect
import os
import sys
from typing import Any

import fixtures
from oslo_config import cfg
import testtools

from pci_passthrough import exception
from pci_passthrough.nova_plugin.install import bootstrap
from pci_passthrough.nova_plugin.install import replacements
from pci_passthrough.nova_plugin.install import verify
from pci_passthrough.tests.unit.nova_plugin import made_up_nova

_NOVA = '''
class Tracker:
    def __init__(self, name):
        self.name = name

    def test(self):
        return f'{self.name} of Nova'

    @classmethod
    def named(cls, name):
        return cls(name)


def ask(what, count=1):
    """Ask."""
    return f'{count} {what}'
'''

#: The replacements, in a package that stands for the Nova plugin.
_OURS = """
from nova.compute import base


def wrap_ask(original):
    return lambda *args, **kwargs: 'plugin: ' + original(*args, **kwargs)


def wrap_test(original):
    return lambda self: 'plugin: ' + original(self)


def wrap_named(original):
    return lambda cls, name: original(cls, 'plugin: ' + name)


class Tracker(base.Tracker):
    def hello(self):
        return self.test()
"""


class BootstrapTestCase(testtools.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.nova = self.useFixture(made_up_nova.MadeUpNova())
        self.nova.write('nova.compute.base', _NOVA)
        self.nova.write('nova.compute.claims', _NOVA)
        self.nova.write('nova.plugin.replacement', _OURS)
        self.useFixture(
            fixtures.MonkeyPatch(
                'pci_passthrough.nova_plugin.install.replacements._PACKAGE',
                'nova.plugin',
            )
        )
        self.replace(
            replacements.Replacement(
                'nova.compute.claims', 'ask', 'asks', 'replacement.wrap_ask'
            ),
            replacements.Replacement(
                'nova.compute.claims',
                'Tracker.test',
                'tests',
                'replacement.wrap_test',
            ),
        )
        self.fits(True)
        self.conf = cfg.ConfigOpts()
        self.conf([], project='nova', default_config_files=[])
        self.addCleanup(bootstrap.uninstall)

    def replace(self, *chosen: replacements.Replacement) -> None:
        self.useFixture(
            fixtures.MonkeyPatch(
                'pci_passthrough.nova_plugin.install.replacements.REPLACEMENTS',
                chosen,
            )
        )

    def fits(self, fits: bool) -> None:
        """Set whether the made-up Nova is a tested one."""

        def check(accepted: list[str]) -> None:
            if not fits and accepted != ['nova.x:y=0']:
                raise exception.UnsupportedNova('Nova is made up')

        self.useFixture(
            fixtures.MonkeyPatch(
                'pci_passthrough.nova_plugin.install.verify.check', check
            )
        )
        self.assertIs(check, verify.check)

    def claims(self) -> Any:
        return importlib.import_module('nova.compute.claims')

    def check_replaced(self) -> None:
        claims = self.claims()
        self.assertEqual('plugin: 2 gpu', claims.ask('gpu', count=2))
        self.assertEqual('plugin: x of Nova', claims.Tracker('x').test())
        self.assertEqual(
            ['nova.compute.claims:Tracker.test', 'nova.compute.claims:ask'],
            bootstrap.replaced(),
        )

    def check_not_replaced(self) -> None:
        claims = self.claims()
        self.assertEqual('1 gpu', claims.ask('gpu'))
        self.assertEqual('x of Nova', claims.Tracker('x').test())
        self.assertEqual([], bootstrap.replaced())

    def test_a_module_that_is_there(self) -> None:
        self.claims()
        bootstrap.install(self.conf)
        self.check_replaced()

    def test_a_module_that_comes_later(self) -> None:
        bootstrap.install(self.conf)
        self.assertEqual([], bootstrap.replaced())
        self.assertNotIn('nova.compute.claims', sys.modules)
        self.check_replaced()

    def test_a_class_method_of_a_derived_class(self) -> None:
        self.replace(
            replacements.Replacement(
                'nova.compute.claims',
                'Tracker.named',
                'names',
                'replacement.wrap_named',
            )
        )
        original = self.claims().Tracker
        derived: Any = type('Derived', (original,), {})
        bootstrap.install(self.conf)
        for tracker in (original, derived):
            named = tracker.named('x')
            self.assertEqual('plugin: x', named.name)
            self.assertIs(tracker, type(named))
        bootstrap.uninstall()
        self.assertEqual('x', derived.named('x').name)

    def test_a_module_that_is_loaded_again(self) -> None:
        bootstrap.install(self.conf)
        importlib.reload(self.claims())
        self.check_replaced()

    def test_a_module_that_fails_at_first(self) -> None:
        bootstrap.install(self.conf)
        self.nova.write('nova.compute.claims', 'raise ImportError("not now")')
        self.assertRaises(ImportError, self.claims)
        # Of another length: Python compares size and time with its cache.
        self.nova.write('nova.compute.claims', _NOVA + '\n')
        self.check_replaced()

    def test_replacement_is_imported_by_the_first_call(self) -> None:
        bootstrap.install(self.conf)
        claims = self.claims()
        self.assertNotIn('nova.plugin.replacement', sys.modules)
        claims.ask('gpu')
        self.assertIn('nova.plugin.replacement', sys.modules)

    def test_signature_and_docstring_stay(self) -> None:
        bootstrap.install(self.conf)
        ask = self.claims().ask
        self.assertEqual('Ask.', ask.__doc__)
        self.assertEqual('(what, count=1)', str(inspect.signature(ask)))

    def test_twice_is_once(self) -> None:
        bootstrap.install(self.conf)
        self.claims()
        bootstrap.install(self.conf)
        self.check_replaced()

    def test_uninstall(self) -> None:
        self.claims()
        bootstrap.install(self.conf)
        bootstrap.uninstall()
        self.check_not_replaced()
        bootstrap.install(self.conf)
        self.check_replaced()

    def test_a_class(self) -> None:
        self.replace(
            replacements.Replacement(
                'nova.compute.base',
                'Tracker',
                'tracks',
                'replacement.Tracker',
                is_class=True,
            )
        )
        bootstrap.install(self.conf)
        base = importlib.import_module('nova.compute.base')
        self.assertEqual('x of Nova', base.Tracker('x').hello())
        bootstrap.uninstall()
        self.assertFalse(hasattr(base.Tracker, 'hello'))

    def test_missing_function_ends_the_import(self) -> None:
        self.replace(
            replacements.Replacement(
                'nova.compute.claims', 'gone', 'asks', 'replacement.wrap_ask'
            )
        )
        bootstrap.install(self.conf)
        self.assertRaises(AttributeError, self.claims)

    def test_all_or_nothing(self) -> None:
        self.replace(
            *replacements.REPLACEMENTS,
            replacements.Replacement(
                'nova.compute.claims', 'gone', 'asks', 'replacement.wrap_ask'
            ),
        )
        self.claims()
        for _ in range(2):
            self.assertRaises(AttributeError, bootstrap.install, self.conf)
            self.check_not_replaced()

    def test_another_nova(self) -> None:
        self.fits(False)
        self.assertRaises(
            exception.UnsupportedNova, bootstrap.install, self.conf
        )
        self.check_not_replaced()

    def test_another_nova_that_is_accepted(self) -> None:
        self.fits(False)
        self.nova.write('nova.conf', '')
        path = self.nova.folder / 'nova.conf'
        path.write_text(
            '[pci_passthrough]\naccepted_nova_changes = nova.x:y=0\n'
        )
        self.conf([], project='nova', default_config_files=[str(path)])
        bootstrap.install(self.conf)
        self.check_replaced()


class IsWantedTestCase(testtools.TestCase):
    def wanted(self, text: str) -> bool:
        folder = self.useFixture(fixtures.TempDir())
        with open(folder.join('nova.conf'), 'w') as file:
            file.write('[DEFAULT]\n')
        os.mkdir(folder.join('nova.conf.d'))
        with open(folder.join('nova.conf.d/pci.conf'), 'w') as file:
            file.write(text)
        conf = cfg.ConfigOpts()
        conf(
            [],
            # The project nova would install the Nova plugin at once.
            project='elsewhere',
            default_config_files=[folder.join('nova.conf')],
            default_config_dirs=[folder.join('nova.conf.d')],
        )
        wanted = bootstrap.is_wanted(conf)
        # The first call has registered no option in conf.
        self.assertEqual(wanted, bootstrap.is_wanted(conf))
        return wanted

    def test_nothing(self) -> None:
        self.assertFalse(self.wanted('[DEFAULT]\n'))
        self.assertFalse(self.wanted('[pci_passthrough]\nrpc_timeout = 1\n'))

    def test_driver_alone(self) -> None:
        self.assertTrue(
            self.wanted('[pci_passthrough]\ndriver = pci_passthrough\n')
        )

    def test_config_source_alone(self) -> None:
        self.assertTrue(
            self.wanted('[DEFAULT]\nconfig_source = pci_passthrough\n')
        )

    def test_both(self) -> None:
        self.assertTrue(
            self.wanted(
                '[DEFAULT]\nconfig_source = pci_passthrough\n'
                '[pci_passthrough]\ndriver = pci_passthrough\n'
            )
        )
