# SPDX-License-Identifier: Apache-2.0
"""Run Nova's tests with the Nova plugin, and compare with Nova alone.

::

    python -m pci_passthrough.tests.nova_suites [--concurrency N] VERSION...

Each version of Nova has an environment ``.venv-nova-<major>`` with the same
version installed. Configuration enables the Nova plugin, as for an operator;
oslo.config reads it from the environment. Tests that fail with the plugin run
again without it. A test that fails only with the plugin is a difference; there
must be none.
"""

import argparse
import collections
from collections.abc import Iterable
from collections.abc import Sequence
import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time
from typing import Any
from typing import BinaryIO

import subunit
import testtools

from pci_passthrough.nova_plugin.install import replacements
from pci_passthrough.tests.nova_suites import suites

_ROOT = pathlib.Path(__file__).resolve().parents[3]
_HERE = pathlib.Path(__file__).resolve().parent

#: Number of tests that may fail once with the plugin, pass without it, and
#: pass with it the second time. More cannot be due to the machine's load.
_TOLERATED = 3

#: Options that enable the Nova plugin, as environment variables. Tests of Nova
#: count the filters and weighers.
_PLUGIN = {
    'OS_PCI_PASSTHROUGH__INSERT_FILTER': 'false',
    'OS_DEFAULT__CONFIG_SOURCE': 'pci_passthrough',
    'OS_PCI_PASSTHROUGH__DRIVER': 'pci_passthrough',
    'OS_PCI_PASSTHROUGH__VERDICT_DIR': '',
}


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The names of tests by their result."""

    passed: frozenset[str]
    failed: frozenset[str]
    skipped: frozenset[str]

    def __str__(self) -> str:
        return (
            f'{len(self.passed)} passed, {len(self.failed)} failed, '
            f'{len(self.skipped)} skipped'
        )


class Suite:
    """Nova's tests of one release.

    :param version: version of Nova.
    :param concurrency: number of processes.
    :param extent: see ``suites.tests_for``.
    :ivar outcome: result of the first run, with the plugin.
    """

    def __init__(self, version: str, concurrency: int, extent: str) -> None:
        self.version = version
        self._concurrency = concurrency
        major = version.partition('.')[0]
        self._venv = f'.venv-nova-{major}'
        self._names = suites.tests_for(major, extent)
        self._folder = _ROOT / '.stestr-nova-suites' / version
        shutil.rmtree(self._folder, ignore_errors=True)
        self._evidence = self._folder / 'evidence'
        self._evidence.mkdir(parents=True)
        self._check_version()
        self.outcome = Outcome(frozenset(), frozenset(), frozenset())

    def check(self) -> list[str]:
        """Run the tests, and return errors as texts."""
        begin = time.monotonic()
        self.outcome = self._run('with', plugin=True)
        seconds = time.monotonic() - begin
        self._say(f'with the plugin: {self.outcome}, {seconds:.0f} s')
        errors = self._missing_evidence()
        if not self.outcome.passed:
            errors.append('no test passed')
        if self.outcome.failed:
            errors += self._differences(self.outcome.failed)
        return [f'Nova {self.version}: {error}' for error in errors]

    def _differences(self, failed: frozenset[str]) -> list[str]:
        """Return tests that fail only with the plugin.

        Failed tests run again without the plugin. Those that pass then run
        again with it, because a few of Nova's tests depend on the load of the
        machine.
        """
        ours = {name for name in failed if name.startswith('pci_passthrough')}
        errors = [f'fails: {name}' for name in sorted(ours)]
        if ours == failed:
            return errors
        without = self._run('without', plugin=False, tests=failed - ours)
        self._say(f'failed tests without the plugin: {without}')
        for name in sorted(without.failed):
            self._say(f'fails also without the plugin: {name}')
        suspects = failed - ours - without.failed
        if not suspects:
            return errors
        again = self._run('again', plugin=True, tests=suspects)
        tolerated = again.passed if len(again.passed) <= _TOLERATED else set()
        for name in sorted(tolerated):
            self._say(f'failed once with the plugin, and not again: {name}')
        return errors + [
            f'fails only with the plugin: {name}'
            for name in sorted(suspects - tolerated)
        ]

    def _say(self, text: str) -> None:
        print(f'Nova {self.version}: {text}', flush=True)

    def _check_version(self) -> None:
        installed = subprocess.run(
            [
                f'{self._venv}/bin/python', '-c',
                'import importlib.metadata as m; print(m.version("nova"))',
            ],
            cwd=_ROOT, check=True, text=True, stdout=subprocess.PIPE,
        ).stdout.strip()  # fmt: skip
        if installed != self.version:
            raise SystemExit(
                f'{self._venv} has Nova {installed}, not {self.version}'
            )

    def _missing_evidence(self) -> list[str]:
        """Return signs that the processes ran without the plugin."""
        calls: collections.Counter[str] = collections.Counter()
        replaced: set[str] = set()
        processes = 0
        for path in self._evidence.glob('*.json'):
            document = json.loads(path.read_text())
            calls.update(document['calls'])
            replaced.update(document['replaced'])
            processes += bool(document['replaced'])
        self._say(
            f"the plugin replaced {len(replaced)} of Nova's functions in "
            f'{processes} processes; trackers registered '
            f'{calls["register_tracker"]} times'
        )
        errors = [
            f'without the plugin: {replacement} was not replaced'
            for replacement in replacements.REPLACEMENTS
            if str(replacement) not in replaced
        ]
        if processes < self._concurrency:
            errors.append(
                f'without the plugin: {processes} processes had it, not '
                f'{self._concurrency}'
            )
        if not calls['register_tracker']:
            errors.append('without the plugin: no tracker registered')
        return errors

    def _run(
        self, name: str, plugin: bool, tests: Iterable[str] = ()
    ) -> Outcome:
        """Run all tests, or some of them.

        :param name: name of the folder for the results.
        """
        folder = self._folder / name
        folder.mkdir()
        environment = {
            **os.environ,
            'NOVA_SUITES': ' '.join(self._names),
            'PYTHONPATH': str(_HERE / 'site'),
        }
        if plugin:
            environment |= {
                **_PLUGIN, 'NOVA_SUITES_EVIDENCE': str(self._evidence)
            }  # fmt: skip
        words = ['run', '--concurrency', str(self._concurrency)]
        if tests:
            listed = folder / 'tests'
            listed.write_text('\n'.join(sorted(tests)) + '\n')
            words += ['--load-list', str(listed)]
        with open(folder / 'log', 'wb') as log:
            self._stestr(folder, ['init'], environment, log)
            self._stestr(folder, words, environment, log)
        return self._outcome(folder, environment)

    def _stestr(
        self,
        folder: pathlib.Path,
        words: Sequence[str],
        environment: dict[str, str],
        output: Any,
    ) -> None:
        subprocess.run(
            [
                'tools/with-nova', self._venv, 'stestr',
                '--repo-url', str(folder),
                '--test-path', str(_HERE / 'selection'),
                '--top-dir', str(_ROOT),
                *words,
            ],
            cwd=_ROOT, env=environment, check=False,
            stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def _outcome(
        self, folder: pathlib.Path, environment: dict[str, str]
    ) -> Outcome:
        stream = folder / 'subunit'
        with open(stream, 'wb') as output:
            self._stestr(folder, ['last', '--subunit'], environment, output)
        with open(stream, 'rb') as source:
            return _read(source)


def _read(stream: BinaryIO) -> Outcome:
    """Return the outcome of a run from its subunit stream."""
    tests: dict[str, set[str]] = collections.defaultdict(set)

    def record(test: Any) -> None:
        if test['status'] not in ('exists', 'unknown'):
            tests[test['status']].add(test['id'])

    result = testtools.StreamToDict(record)
    result.startTestRun()
    subunit.ByteStreamToStreamResult(stream, non_subunit_name='stdout').run(
        result
    )
    result.stopTestRun()
    passed = tests.pop('success', set()) | tests.pop('xfail', set())
    skipped = tests.pop('skip', set())
    failed = set().union(*tests.values())
    return Outcome(frozenset(passed), frozenset(failed), frozenset(skipped))


def main() -> int:
    """Run all releases, print errors, return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--concurrency', type=int, default=2)
    parser.add_argument(
        '--count-stdin',
        action='store_true',
        help='count the tests of the subunit stream on standard input, too',
    )
    extents = parser.add_mutually_exclusive_group()
    extents.add_argument(
        '--all',
        action='store_const',
        const='all',
        default='',
        dest='extent',
        help="run all of Nova's functional tests of PCI devices",
    )
    extents.add_argument(
        '--quick',
        action='store_const',
        const='quick',
        dest='extent',
        help='run only the unit tests that call what is replaced',
    )
    parser.add_argument('versions', nargs='+')
    args = parser.parse_args()
    errors: list[str] = []
    passed = skipped = 0
    if args.count_stdin:
        before = _read(sys.stdin.buffer)
        errors += [f'fails: {name}' for name in sorted(before.failed)]
        if not before.passed:
            errors.append('no test passed before')
        passed, skipped = len(before.passed), len(before.skipped)
    for version in args.versions:
        suite = Suite(version, args.concurrency, args.extent)
        errors += suite.check()
        passed += len(suite.outcome.passed)
        skipped += len(suite.outcome.skipped)
    for error in errors:
        print(error)
    print(f'{passed} passed, {len(errors)} failed, {skipped} skipped')
    return 1 if errors else 0


if __name__ == '__main__':
    sys.exit(main())
