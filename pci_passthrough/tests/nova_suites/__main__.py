# SPDX-License-Identifier: Apache-2.0
"""Run Nova's own tests with the door, and say what differs without it.

::

    python -m pci_passthrough.tests.nova_suites [--concurrency N] VERSION...

Each version of Nova has an environment ``.venv-nova-<major>`` with the same
version installed. The door is enabled by configuration only, as an operator
does it; oslo.config takes it from the environment. What fails with the door
is run again without it. What fails only with it is a difference; there must
be none.
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

from pci_passthrough.nova_plugin.install import bootstrap

_ROOT = pathlib.Path(__file__).resolve().parents[3]
_HERE = pathlib.Path(__file__).resolve().parent

#: Ours, and short: what holds for each release.
_OWN = ('pci_passthrough.tests.nova.test_installed',)

#: Without a host, a cloud, or a database of Nova.
_UNIT = (
    'nova.tests.unit.pci.test_devspec',
    'nova.tests.unit.pci.test_manager',
    'nova.tests.unit.pci.test_request',
    'nova.tests.unit.pci.test_stats',
    'nova.tests.unit.pci.test_utils',
    'nova.tests.unit.pci.test_whitelist',
    'nova.tests.unit.api.validation.extra_specs.test_validators',
    'nova.tests.unit.compute.test_claims',
    'nova.tests.unit.compute.test_pci_placement_translator',
    'nova.tests.unit.compute.test_resource_tracker',
    'nova.tests.unit.objects.test_instance_pci_requests',
    'nova.tests.unit.objects.test_pci_device',
    'nova.tests.unit.objects.test_request_spec',
    'nova.tests.unit.scheduler.filters.test_numa_topology_filters',
    'nova.tests.unit.scheduler.filters.test_pci_passthrough_filters',
    'nova.tests.unit.scheduler.test_filters',
    'nova.tests.unit.scheduler.test_host_filters',
    'nova.tests.unit.scheduler.test_host_manager',
    'nova.tests.unit.scheduler.test_utils',
    'nova.tests.unit.scheduler.weights.test_weights_pci',
    'nova.tests.unit.virt.test_hardware',
)
#: How NICs and their ports are handled.
_NETWORK = (
    'nova.tests.unit.api.openstack.compute.test_attach_interfaces',
    'nova.tests.unit.network.test_neutron',
    'nova.tests.unit.test_context',
)
_FUNCTIONAL = (
    'nova.tests.functional.libvirt.test_pci_sriov_servers',
    'nova.tests.functional.libvirt.test_pci_in_placement',
)
_PORTS, _PLACEMENT = _FUNCTIONAL[:1], _FUNCTIONAL[1:]

#: By major version of Nova. All of it on the newest release; on each of them
#: it would take the command beyond a quarter of an hour.
_SUITES = {
    '34': _OWN + _UNIT + _NETWORK + _FUNCTIONAL,
    '33': _OWN + _UNIT + _PORTS,
    '32': _OWN + _UNIT + _PLACEMENT,
}

#: How many tests may fail once with the door, pass without it, and pass with
#: it the second time. More of them do not come from the machine's load.
_TOLERATED = 3

#: How the door is enabled, as oslo.config reads it from the environment.
_DOOR = {
    'OS_DEFAULT__CONFIG_SOURCE': 'pci_passthrough',
    'OS_PCI_PASSTHROUGH__DRIVER': 'pci_passthrough',
}


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a run gave, by the tests' names."""

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

    :param version: of Nova.
    :param concurrency: how many processes.
    :ivar outcome: with the door, in the first run.
    """

    def __init__(self, version: str, concurrency: int) -> None:
        self.version = version
        self._concurrency = concurrency
        major = version.partition('.')[0]
        self._venv = f'.venv-nova-{major}'
        self._modules = _SUITES[major]
        self._folder = _ROOT / '.stestr-nova-suites' / version
        shutil.rmtree(self._folder, ignore_errors=True)
        self._evidence = self._folder / 'evidence'
        self._evidence.mkdir(parents=True)
        self._check_version()
        self.outcome = Outcome(frozenset(), frozenset(), frozenset())

    def check(self) -> list[str]:
        """Run it, and return what is wrong, for people."""
        begin = time.monotonic()
        self.outcome = self._run('with', door=True)
        seconds = time.monotonic() - begin
        self._say(f'with the door: {self.outcome}, {seconds:.0f} s')
        wrong = self._missing_evidence()
        if not self.outcome.passed:
            wrong.append('no test passed')
        if self.outcome.failed:
            wrong += self._differences(self.outcome.failed)
        return [f'Nova {self.version}: {one}' for one in wrong]

    def _differences(self, failed: frozenset[str]) -> list[str]:
        """Run what failed without the door, and what then passes with it.

        The second time with it, because a few of Nova's tests depend on the
        load of the machine: one that passes now is no difference.
        """
        own = {name for name in failed if name.startswith('pci_passthrough')}
        wrong = [f'fails: {name}' for name in sorted(own)]
        if own == failed:
            return wrong
        without = self._run('without', door=False, tests=failed - own)
        self._say(f'without the door, of these: {without}')
        for name in sorted(without.failed):
            self._say(f'fails without the door, too: {name}')
        suspects = failed - own - without.failed
        if not suspects:
            return wrong
        again = self._run('again', door=True, tests=suspects)
        spared = again.passed if len(again.passed) <= _TOLERATED else set()
        for name in sorted(spared):
            self._say(f'failed once with the door, and not again: {name}')
        return wrong + [
            f'fails with the door only: {name}'
            for name in sorted(suspects - spared)
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
        """Return what the door would have done, and did not."""
        calls: collections.Counter[str] = collections.Counter()
        replaced: set[str] = set()
        processes = 0
        for path in self._evidence.glob('*.json'):
            document = json.loads(path.read_text())
            calls.update(document['calls'])
            replaced.update(document['replaced'])
            processes += bool(document['replaced'])
        self._say(
            f"the door replaced {len(replaced)} of Nova's functions in "
            f'{processes} processes; trackers registered '
            f'{calls["register_tracker"]} times'
        )
        wrong = [
            f'the door was not there: {one.module}:{one.attribute} was not '
            'replaced'
            for one in bootstrap.REPLACEMENTS
            if f'{one.module}:{one.attribute}' not in replaced
        ]
        if processes < self._concurrency:
            wrong.append(
                f'the door was not there: {processes} processes had it, not '
                f'{self._concurrency}'
            )
        if not calls['register_tracker']:
            wrong.append('the door was not there: no tracker registered')
        return wrong

    def _run(
        self, name: str, door: bool, tests: Iterable[str] = ()
    ) -> Outcome:
        """Run the tests, or some of them.

        :param name: of the folder for what comes out.
        """
        folder = self._folder / name
        folder.mkdir()
        environment = {
            **os.environ,
            'NOVA_SUITES': ' '.join(self._modules),
            'PYTHONPATH': str(_HERE / 'site'),
        }
        if door:
            environment |= {
                **_DOOR, 'NOVA_SUITES_EVIDENCE': str(self._evidence)
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

    def note(test: Any) -> None:
        if test['status'] not in ('exists', 'unknown'):
            tests[test['status']].add(test['id'])

    result = testtools.StreamToDict(note)
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
    """Run all, print what is wrong, return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--concurrency', type=int, default=2)
    parser.add_argument(
        '--count-stdin',
        action='store_true',
        help='count the tests of the subunit stream on standard input, too',
    )
    parser.add_argument('versions', nargs='+')
    args = parser.parse_args()
    wrong: list[str] = []
    passed = skipped = 0
    if args.count_stdin:
        before = _read(sys.stdin.buffer)
        wrong += [f'fails: {name}' for name in sorted(before.failed)]
        if not before.passed:
            wrong.append('no test passed before')
        passed, skipped = len(before.passed), len(before.skipped)
    for version in args.versions:
        suite = Suite(version, args.concurrency)
        wrong += suite.check()
        passed += len(suite.outcome.passed)
        skipped += len(suite.outcome.skipped)
    for one in wrong:
        print(one)
    print(f'{passed} passed, {len(wrong)} failed, {skipped} skipped')
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
