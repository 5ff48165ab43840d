# SPDX-License-Identifier: Apache-2.0
"""Loads the tests that ``NOVA_SUITES`` names, see ``suites``.

stestr looks for tests in a folder. Nova's folders have 20,000 tests, and
reading them takes longer than running the selected ones.
"""

from collections.abc import Iterator
import importlib
import os
import pkgutil
import re
from typing import Any

from pci_passthrough.tests.nova_suites import policy_files


def load_tests(loader: Any, tests: Any, pattern: str | None) -> Any:
    """Return the selected tests, under their own names."""
    policy_files.parse_once()
    for selected in os.environ['NOVA_SUITES'].split():
        name, _, regex = selected.partition(':')
        for module in _modules(name):
            for test in _flat(loader.loadTestsFromName(module)):
                if re.search(regex, test.id().removeprefix(module)):
                    tests.addTest(test)
    return tests


def _modules(name: str) -> list[str]:
    """Return the test modules of a package; of another name, the name."""
    try:
        package = importlib.import_module(name)
    except ModuleNotFoundError:
        # A class or a test. If it is missing, loading it fails.
        return [name]
    if not hasattr(package, '__path__'):
        return [name]
    return [
        info.name
        for info in pkgutil.walk_packages(package.__path__, f'{name}.')
        if info.name.rpartition('.')[2].startswith('test_')
    ]


def _flat(tests: Any) -> Iterator[Any]:
    try:
        inner = iter(tests)
    except TypeError:
        yield tests
    else:
        for test in inner:
            yield from _flat(test)
