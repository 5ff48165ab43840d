# SPDX-License-Identifier: Apache-2.0
"""Compares the installed Nova with the tested releases.

The forms of all ``symbols`` in the tested releases are recorded in
``known_symbols.json``. To record a release, run with an interpreter that has
it installed::

    python -m pci_passthrough.nova_plugin.install.verify record
"""

from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import functools
from importlib import metadata
import json
import pathlib
import sys

from pci_passthrough import exception
from pci_passthrough.nova_plugin.install import nova_source
from pci_passthrough.nova_plugin.install import symbols

_KNOWN = pathlib.Path(__file__).with_name('known_symbols.json')


@dataclasses.dataclass(frozen=True)
class Difference:
    """A symbol whose installed form is that of no tested release.

    :ivar installed: its form in the installed Nova; None if it is missing.
    :ivar expected: its forms in the tested releases, the newest first.
    """

    symbol: symbols.Symbol
    installed: nova_source.Form | None
    expected: tuple[nova_source.Form, ...]

    @property
    def is_acceptable(self) -> bool:
        """Whether only the code differs, which an operator may accept."""
        return self.installed is not None and self.installed.signature in (
            form.signature for form in self.expected
        )

    @property
    def acceptance(self) -> str:
        """The value of ``accepted_nova_changes`` for this difference."""
        digest = self.installed.digest if self.installed else ''
        return f'{self.symbol}={digest}'

    def __str__(self) -> str:
        text = f'{self.symbol} ({self.symbol.use.value}: {self.symbol.why}): '
        wanted = ' or '.join(
            dict.fromkeys(form.signature for form in self.expected)
        )
        if self.installed is None:
            return f'{text}is missing; expected is {wanted}'
        if not self.is_acceptable:
            return (
                f'{text}its signature is {self.installed.signature}, '
                f'expected is {wanted}'
            )
        digests = ' or '.join(
            dict.fromkeys(form.digest for form in self.expected)
        )
        return (
            f'{text}the code is unknown: its digest is '
            f'{self.installed.digest}, expected is {digests}'
        )


def check(accepted: Iterable[str] = ()) -> None:
    """Compare all symbols with the tested releases.

    :param accepted: values of ``[pci_passthrough] accepted_nova_changes``.
    :raises UnsupportedNova: a symbol differs; the text lists the differences
        and says what to do.
    """
    unwanted = differences(accepted)
    if unwanted:
        raise exception.UnsupportedNova(_describe(unwanted))


def differences(accepted: Iterable[str] = ()) -> list[Difference]:
    """Return the symbols whose installed form is of no tested release.

    :param accepted: as for ``check``.
    """
    known = read_known()
    accepted = set(accepted)
    unaccepted = []
    for symbol, form in inspect().items():
        expected = tuple(known[symbol])
        if form not in expected:
            difference = Difference(symbol, form, expected)
            if not (
                difference.is_acceptable and difference.acceptance in accepted
            ):
                unaccepted.append(difference)
    return unaccepted


def nova_version() -> str:
    """Return the version of the installed Nova package."""
    try:
        return metadata.version('nova')
    except metadata.PackageNotFoundError:
        return '(of an unknown version)'


def tested_releases() -> list[str]:
    """Return the recorded versions of Nova, the oldest first."""
    releases = {
        release
        for forms in read_known().values()
        for versions in forms.values()
        for release in versions
    }
    return sorted(releases, key=_by_number)


@functools.cache
def inspect() -> Mapping[symbols.Symbol, nova_source.Form | None]:
    """Return the form of each symbol in the installed Nova.

    The installed Nova does not change while a process runs.

    :returns: symbol to form; None for a missing symbol.
    """
    try:
        return {
            symbol: nova_source.form_of(symbol)
            for symbol in sorted(symbols.SYMBOLS, key=str)
        }
    finally:
        nova_source.forget_parsed()


def _describe(unwanted: Sequence[Difference]) -> str:
    lines = [
        f'Nova {nova_version()} differs from the releases that this package '
        f'was tested with ({", ".join(tested_releases())}):',
        *(f'  {difference}' for difference in unwanted),
        'PCI devices could be promised twice or lost, so this process does '
        'not start. Install a tested release of Nova, or a release of '
        'pci_passthrough that knows this one.',
    ]
    if all(difference.is_acceptable for difference in unwanted):
        values = ','.join(difference.acceptance for difference in unwanted)
        lines.append(
            'If you have read the changed code and want to run it, add to '
            'nova.conf:\n'
            '  [pci_passthrough]\n'
            f'  accepted_nova_changes = {values}'
        )
    return '\n'.join(lines)


def _by_number(version: str) -> list[int]:
    return [int(part) for part in version.split('.')]


def read_known() -> dict[symbols.Symbol, dict[nova_source.Form, list[str]]]:
    """Return the recorded forms and their releases, the newest first."""
    recorded = json.loads(_KNOWN.read_text()) if _KNOWN.exists() else {}
    return {
        symbol: {
            nova_source.Form(form['signature'], form['digest']): form[
                'releases'
            ]
            for form in recorded.get(str(symbol), [])
        }
        for symbol in symbols.SYMBOLS
    }


def record() -> None:
    """Add the installed Nova to the tested releases.

    :raises UnsupportedNova: a symbol is missing.
    """
    release = nova_version()
    known = read_known()
    for symbol, form in inspect().items():
        if form is None:
            raise exception.UnsupportedNova(f'Nova {release} has no {symbol}')
        forms = known[symbol]
        for releases in forms.values():
            if release in releases:
                releases.remove(release)
        forms.setdefault(form, []).append(release)
    _KNOWN.write_text(
        json.dumps(
            {
                str(symbol): [
                    {
                        'signature': form.signature,
                        'digest': form.digest,
                        'releases': sorted(
                            releases, key=_by_number, reverse=True
                        ),
                    }
                    for form, releases in sorted(
                        known[symbol].items(),
                        key=lambda item: max(
                            map(_by_number, item[1]), default=[]
                        ),
                        reverse=True,
                    )
                    if releases
                ]
                for symbol in sorted(known, key=str)
            },
            indent=1,
        )
        + '\n'
    )


def main(args: Sequence[str]) -> int:
    """Print all differences; ``record`` records the installed Nova before."""
    try:
        if list(args) == ['record']:
            record()
        check()
    except exception.UnsupportedNova as error:
        print(error)
        return 1
    print(f'Nova {nova_version()}: {len(symbols.SYMBOLS)} symbols fit')
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
