# SPDX-License-Identifier: Apache-2.0
"""What must hold for the whole project, and nobody would notice otherwise."""

import ast
from collections.abc import Iterator
import pathlib
import re

import testtools

from pci_passthrough import conf
from pci_passthrough import tests
from pci_passthrough.conf import nova

#: The end of a sentence: a full stop and white space, or the end.
_SENTENCE = re.compile(r'[.:](?=\s|$)')

_TESTS = pathlib.Path(tests.__file__).parent

#: Those of the programs, and those in Nova's configuration.
_ALL = [*conf.list_opts(), *nova.list_opts()]


class OptionsTest(testtools.TestCase):
    def test_help_is_a_small_manual(self) -> None:
        """One sentence cannot say both what it is and what goes wrong."""
        too_short = [
            f'[{group}] {option.name}'
            for group, options in _ALL
            for option in options
            if len(_SENTENCE.findall(option.help or '')) < 2
        ]
        self.assertEqual([], too_short)

    def test_options_are_named_once(self) -> None:
        names = [
            (group, option.name)
            for group, options in _ALL
            for option in options
        ]
        self.assertNotEqual([], names)
        self.assertEqual(len(set(names)), len(names))


class LayersTest(testtools.TestCase):
    """Each test runs in a layer: see the Makefile."""

    def names(self) -> Iterator[str]:
        """Yield the names of all classes with tests, and of their methods."""
        for path in sorted(_TESTS.rglob('test_*.py')):
            module = '.'.join(path.relative_to(_TESTS).with_suffix('').parts)
            for node in ast.parse(path.read_text()).body:
                if isinstance(node, ast.ClassDef):
                    yield f'tests.{module}.{node.name}.'
                    for method in node.body:
                        if isinstance(method, ast.FunctionDef):
                            yield f'tests.{module}.{node.name}.{method.name}'

    def test_each_folder_of_tests_is_run(self) -> None:
        """A new folder needs a place in the Makefile."""
        self.assertEqual(
            {'unit', 'functional', 'nova', 'e2e'},
            {name.split('.')[1] for name in self.names()},
        )

    def test_each_line_of_the_lists_names_some(self) -> None:
        lines = [
            line
            for name in ('heavy-tests.txt', 'long-tests.txt')
            for line in (_TESTS / name).read_text().splitlines()
        ]
        patterns = [line for line in lines if line and line[0] != '#']
        self.assertNotEqual([], patterns)
        names = list(self.names())
        for pattern in patterns:
            # The files do not say which scenarios there are.
            without_scenario = re.compile(pattern.partition(r'.*\(')[0])
            self.assertTrue(
                any(without_scenario.search(name) for name in names), pattern
            )
