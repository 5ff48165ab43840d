# SPDX-License-Identifier: Apache-2.0
"""Only conductors write: what asks gets a Reader, and cannot."""

import ast
from collections.abc import Iterator
import pathlib
import tempfile
import typing

import sqlalchemy as sa
import testtools

import pci_passthrough
from pci_passthrough import store
from pci_passthrough.api import backends
from pci_passthrough.services import metrics_census

_ROOT = pathlib.Path(pci_passthrough.__file__).parent

_Function = ast.FunctionDef | ast.AsyncFunctionDef


class ReaderTest(testtools.TestCase):
    def setUp(self) -> None:
        super().setUp()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.url = f'sqlite:///{folder.name}/db'

    def test_types_refuse_a_write(self) -> None:
        """Mypy would find the comments below unused if it allowed this."""
        reader = store.Reader(self.url)
        self.addCleanup(reader.close)
        with testtools.ExpectedException(AttributeError):
            reader.write()  # type: ignore[attr-defined]
        with testtools.ExpectedException(AttributeError):
            reader.engine.begin()  # type: ignore[attr-defined]

    def test_sqlite_refuses_a_write(self) -> None:
        """Types do not tell what a connection executes; SQLite does."""
        writer = store.Writer(self.url)
        self.addCleanup(writer.close)
        with writer.write() as connection:
            connection.exec_driver_sql('CREATE TABLE t (n INTEGER)')
        for begin in (writer.read, writer.snapshot):
            with begin() as connection:
                insert = sa.text('INSERT INTO t VALUES (1)')
                refused = self.assertRaises(
                    sa.exc.OperationalError, connection.execute, insert
                )
                self.assertIn('readonly', str(refused))
            with begin() as connection:
                count = connection.exec_driver_sql('SELECT count(*) FROM t')
                self.assertEqual(0, count.scalar())

    def test_who_asks_has_a_reader(self) -> None:
        self.assertEqual(
            store.Reader,
            typing.get_type_hints(backends.Backends)['database'],
        )
        self.assertEqual(
            store.Reader,
            typing.get_type_hints(metrics_census.CensusCollector.use)['db'],
        )

    def test_no_writer_but_in_programs_that_write(self) -> None:
        writing = {
            path.relative_to(_ROOT).parts[:2]
            for path in _ROOT.rglob('*.py')
            if 'tests' not in path.relative_to(_ROOT).parts
            and 'store.Writer' in path.read_text()
        }
        self.assertEqual(
            {
                ('services', 'auditing.py'),
                ('services', 'conductor.py'),
                ('services', 'endpoint.py'),
                ('services', 'group_flavors.py'),
                ('services', 'operator_endpoint.py'),
                ('services', 'periodic_audit.py'),
                ('services', 'preparation_endpoint.py'),
                ('cmd', 'manage'),
            },
            writing,
        )


class StoreFunctionsTest(testtools.TestCase):
    """A function of the store takes a Writer exactly if it writes."""

    def test_only_what_writes_takes_a_writer(self) -> None:
        functions = list(_functions())
        writing = {
            function.name for function in functions if _writes(function)
        }
        # Those, too, which leave the writing to others.
        for _ in functions:
            writing |= {
                function.name
                for function in functions
                if _takes(function, 'Writer')
                and _called_with_database(function) & writing
            }
        self.assertEqual(
            [],
            [
                function.name
                for function in functions
                if _takes(function, 'Writer') and function.name not in writing
            ],
        )
        self.assertIn('claim', writing)

    def test_what_writes_takes_a_writer(self) -> None:
        self.assertEqual(
            [],
            [
                function.name
                for function in _functions()
                if _writes(function) and not _takes(function, 'Writer')
            ],
        )


def _functions() -> Iterator[_Function]:
    for path in (_ROOT / 'store').rglob('*.py'):
        if path.name == 'database.py':
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, _Function):
                yield node


def _takes(function: _Function, kind: str) -> bool:
    return any(
        argument.annotation is not None
        and ast.unparse(argument.annotation) == f'database.{kind}'
        for argument in function.args.args
    )


def _writes(function: _Function) -> bool:
    return any(
        isinstance(node, ast.Attribute)
        and node.attr in ('write', 'engine')
        and isinstance(node.value, ast.Name)
        and node.value.id == 'db'
        for node in ast.walk(function)
    )


def _called_with_database(function: _Function) -> set[str]:
    """Return the names of functions that get the database as it is."""
    return {
        ast.unparse(node.func).rpartition('.')[2]
        for node in ast.walk(function)
        if isinstance(node, ast.Call)
        and any(
            isinstance(argument, ast.Name) and argument.id == 'db'
            for argument in node.args
        )
    }
