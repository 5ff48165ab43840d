# SPDX-License-Identifier: Apache-2.0
"""Documentation and docstrings name places that exist."""

import ast
import pathlib
import re

import testtools

_ROOT = pathlib.Path(__file__).parents[3]
_PACKAGE = _ROOT / 'pci_passthrough'
_PAGE = (_ROOT / 'doc/source/architecture.rst').read_text()


def _section(title: str) -> str:
    """Return a section of the page, without the sections that follow."""
    _, _, rest = _PAGE.partition(f'\n{title}\n===')
    return re.split(r'\n.+\n={3,}\n', rest)[0]


def _names(module: pathlib.Path) -> set[str]:
    """Return the names that a module defines."""
    names = set()
    for node in ast.parse(module.read_text()).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names.add(node.name)
        if isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
        targets = []
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AnnAssign):
            targets = [node.target]
        names |= {t.id for t in targets if isinstance(t, ast.Name)}
    return names


class ArchitectureTest(testtools.TestCase):
    def test_each_rule_is_where_the_table_says(self) -> None:
        places = re.findall(
            r'^     - ``([\w.]+)``$', _section('Which rule lives where'), re.M
        )
        self.assertTrue(len(places) >= 30)
        for place in places:
            module, _, name = place.rpartition('.')
            path = _PACKAGE / f'{module.replace(".", "/")}.py'
            self.assertTrue(path.is_file(), place)
            self.assertIn(name, _names(path), place)

    def test_the_tree_has_every_package(self) -> None:
        tree = _section('The tree')
        for folder in _PACKAGE.rglob('__init__.py'):
            package = folder.parent.relative_to(_PACKAGE).parts
            if package and package[0] != 'tests' and 'versions' not in package:
                # symbols/ is data of install/.
                if package[-1] != 'symbols':
                    self.assertIn(f' {package[-1]}/', tree)

    def test_docstrings_name_places_of_the_store(self) -> None:
        for path in _PACKAGE.rglob('*.py'):
            for place in re.findall(
                r'``(store(?:\.\w+)+)``', path.read_text()
            ):
                self.assertTrue(_exists(place), f'{path}: {place}')


def _exists(place: str) -> bool:
    """Return whether a package, a module or a name in one exists."""
    path = _PACKAGE.joinpath(*place.split('.'))
    if path.is_dir() or path.with_suffix('.py').is_file():
        return True
    module = path.parent.with_suffix('.py')
    if path.parent.is_dir():
        module = path.parent / '__init__.py'
    return module.is_file() and path.name in _names(module)
