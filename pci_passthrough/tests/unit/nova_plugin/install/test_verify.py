# SPDX-License-Identifier: Apache-2.0
"""Tests of comparing the installed Nova with the tested releases."""

import itertools
import json
import pathlib
import sys

import fixtures
import testtools

from pci_passthrough import exception
from pci_passthrough.nova_plugin.install import replacements
from pci_passthrough.nova_plugin.install import symbols
from pci_passthrough.nova_plugin.install import verify
from pci_passthrough.tests.unit.nova_plugin import made_up_nova

_POOLS = symbols.Symbol(
    'nova.pci.pools', 'Pools', symbols.Use.OVERRIDDEN, 'is a base class'
)
_VERSION = symbols.Symbol(
    'nova.pci.pools', 'Pools.version', symbols.Use.RELIED_ON, 'is stored'
)
_COUNT = symbols.Symbol(
    'nova.pci.pools', 'Pools.count', symbols.Use.RELIED_ON, 'counts'
)
_TAKE = symbols.Symbol(
    'nova.pci.pools', 'Pools.take', symbols.Use.REPLACED, 'takes devices'
)
_MAKE = symbols.Symbol(
    'nova.pci.pools', 'make', symbols.Use.CALLED, 'makes pools'
)


class VerifyTestCase(testtools.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.nova = self.useFixture(made_up_nova.MadeUpNova())
        folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.useFixture(
            fixtures.MonkeyPatch(
                'pci_passthrough.nova_plugin.install.symbols.SYMBOLS',
                (_POOLS, _VERSION, _COUNT, _TAKE, _MAKE),
            )
        )
        self.useFixture(
            fixtures.MonkeyPatch(
                'pci_passthrough.nova_plugin.install.verify._KNOWN',
                folder / 'known.json',
            )
        )
        self.release('1.0.0')
        self.write(made_up_nova.POOLS)
        verify.record()

    def release(self, version: str) -> None:
        self.useFixture(
            fixtures.MonkeyPatch(
                'pci_passthrough.nova_plugin.install.verify.nova_version',
                lambda: version,
            )
        )

    def write(self, source: str) -> None:
        self.nova.write('nova.pci.pools', source)

    def change(self, old: str, new: str) -> None:
        self.assertIn(old, made_up_nova.POOLS)
        self.write(made_up_nova.POOLS.replace(old, new))

    def refusal(self, accepted: tuple[str, ...] = ()) -> str:
        return str(
            self.assertRaises(
                exception.UnsupportedNova, verify.check, accepted
            )
        )

    def test_the_recorded_one_fits(self) -> None:
        verify.check()
        self.assertEqual(['1.0.0'], verify.tested_releases())

    def test_nothing_is_imported(self) -> None:
        self.write(made_up_nova.POOLS + '\nraise AssertionError("imported")\n')
        verify.check()
        self.assertNotIn('nova', sys.modules)

    def test_a_changed_parameter_cannot_be_accepted(self) -> None:
        for new in (
            'take(self, count, *, numa=None)',
            'take(self, number, numa=None)',
            'take(self, number, *, numa=0)',
            'take(self, number, *, numa)',
            'take(self, number, *more, numa=None)',
            'take(self, number, /, *, numa=None)',
            'take(self, number, *, numa=None, **more)',
        ):
            self.change('take(self, number, *, numa=None)', new)
            text = self.refusal()
            self.assertIn(
                'nova.pci.pools:Pools.take (replaced: takes devices): its '
                f'signature is {new}, expected is '
                'take(self, number, *, numa=None)',
                text,
            )
            self.assertNotIn('accepted_nova_changes', text)

    def test_missing_symbol_cannot_be_accepted(self) -> None:
        self.change('def make(', 'def build(')
        text = self.refusal()
        self.assertIn(
            'nova.pci.pools:make (called: makes pools): is missing; expected '
            'is make(devices)',
            text,
        )
        self.assertIn('Nova 1.0.0', text)
        self.assertNotIn('accepted_nova_changes', text)

    def test_no_nova_at_all(self) -> None:
        self.nova.remove('nova.pci.pools')
        self.assertEqual(5, len(verify.differences()))
        self.assertIn('is missing', self.refusal())

    def test_unknown_code_can_be_accepted_by_its_digest(self) -> None:
        self.release('1.0.1')
        self.change('[:number]', '[number:]')
        text = self.refusal()
        self.assertIn('Nova 1.0.1', text)
        self.assertIn('tested with (1.0.0)', text)
        self.assertIn('the code is unknown', text)
        value = text.rpartition('accepted_nova_changes = ')[2]
        self.assertIn('nova.pci.pools:Pools.take=', value)
        verify.check([value])
        # For exactly that code.
        self.change('[:number]', '[number + 1:]')
        self.assertIn('the code is unknown', self.refusal((value,)))

    def test_one_of_two_changes_accepted(self) -> None:
        self.change('[:number]', '[number:]')
        value = self.refusal().rpartition(' = ')[2]
        self.write(
            made_up_nova.POOLS.replace('[:number]', '[number:]').replace(
                'Pools(devices)', 'Pools(devices[:])'
            )
        )
        text = self.refusal((value,))
        self.assertIn('nova.pci.pools:make', text)
        self.assertNotIn('Pools.take', text)

    def test_a_second_release(self) -> None:
        self.release('2.0.0')
        self.change('[:number]', '[number:]')
        verify.record()
        verify.check()
        self.write(made_up_nova.POOLS)
        verify.check()
        self.assertEqual(['1.0.0', '2.0.0'], verify.tested_releases())
        self.change('[:number]', '[:]')
        self.assertIn('tested with (1.0.0, 2.0.0)', self.refusal())

    def test_recording_twice_changes_nothing(self) -> None:
        before = verify._KNOWN.read_text()
        verify.record()
        self.assertEqual(before, verify._KNOWN.read_text())

    def test_missing_symbol_is_not_recorded(self) -> None:
        self.change('def make(', 'def build(')
        self.assertRaises(exception.UnsupportedNova, verify.record)


class KnownSymbolsTestCase(testtools.TestCase):
    def test_every_symbol_is_recorded_for_every_release(self) -> None:
        releases = verify.tested_releases()
        self.assertEqual(['32', '33', '34'], [r[:2] for r in releases])
        for symbol, forms in verify.read_known().items():
            recorded = sorted(itertools.chain(*forms.values()))
            self.assertEqual(releases, recorded, str(symbol))

    def test_symbols_are_listed_once(self) -> None:
        names = [str(symbol) for symbol in symbols.SYMBOLS]
        self.assertEqual(len(set(names)), len(names))

    def test_replaced_symbols_are_the_replacements(self) -> None:
        self.assertEqual(
            sorted(map(str, replacements.REPLACEMENTS)),
            sorted(
                str(symbol)
                for symbol in symbols.SYMBOLS
                if symbol.use is symbols.Use.REPLACED
            ),
        )

    def test_nothing_else_is_recorded(self) -> None:
        self.assertEqual(
            sorted(map(str, symbols.SYMBOLS)),
            sorted(json.loads(verify._KNOWN.read_text())),
        )
