# SPDX-License-Identifier: Apache-2.0
"""Compares the installed Nova with the releases that are tested.

Nova's source files are read and parsed, never imported: this runs when a
process has hardly begun, and modules of Nova must not be imported then. It
also means that what is compared is Nova's own, whatever has been replaced.

The digest of a function does not depend on comments, docstrings, type
annotations, blanks or the version of Python, so it differs only where the
code does.

To record a release, run with an interpreter that has it::

    python -m pci_passthrough.nova_plugin.install.verify record
"""

import ast
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import functools
import hashlib
from importlib import metadata
import importlib.util
import json
import pathlib
import sys
from typing import Any

from pci_passthrough import exception
from pci_passthrough.nova_plugin.install import symbols

_KNOWN = pathlib.Path(__file__).with_name('known_symbols.json')

#: Fields of ``ast`` that do not change what code does.
_IRRELEVANT = frozenset(
    {'annotation', 'ctx', 'kind', 'returns', 'type_comment', 'type_params'}
)

#: What of Python's own syntax tree is a definition.
_Function = ast.FunctionDef | ast.AsyncFunctionDef
_Definition = _Function | ast.ClassDef | ast.Assign | ast.AnnAssign


@dataclasses.dataclass(frozen=True, order=True)
class Form:
    """What a symbol looks like.

    :ivar signature: parameters of a function, bases of a class.
    :ivar digest: of the code.
    """

    signature: str
    digest: str


@dataclasses.dataclass(frozen=True)
class Difference:
    """A symbol that is not as in any tested release.

    :ivar found: None: there is no such symbol.
    :ivar expected: as in the releases, the newest first.
    """

    symbol: symbols.Symbol
    found: Form | None
    expected: tuple[Form, ...]

    @property
    def is_acceptable(self) -> bool:
        """Whether only the code differs, so an operator may accept it."""
        return self.found is not None and self.found.signature in (
            form.signature for form in self.expected
        )

    @property
    def acceptance(self) -> str:
        """The value that accepts this difference."""
        return f'{self.symbol}={self.found.digest if self.found else ""}'

    def __str__(self) -> str:
        text = f'{self.symbol} ({self.symbol.use.value}: {self.symbol.why}): '
        wanted = ' or '.join(
            dict.fromkeys(form.signature for form in self.expected)
        )
        if self.found is None:
            return f'{text}is missing; expected is {wanted}'
        if not self.is_acceptable:
            return f'{text}found is {self.found.signature}, expected {wanted}'
        digests = ' or '.join(
            dict.fromkeys(form.digest for form in self.expected)
        )
        return (
            f'{text}the code is unknown: its digest is {self.found.digest}, '
            f'expected {digests}'
        )


def check(accepted: Iterable[str] = ()) -> None:
    """Compare what is relied on with the tested releases.

    :param accepted: of ``[pci_passthrough] accepted_nova_changes``.
    :raises UnsupportedNova: it differs; the text says where, and what to do.
    """
    unwanted = differences(accepted)
    if unwanted:
        raise exception.UnsupportedNova(_describe(unwanted))


def differences(accepted: Iterable[str] = ()) -> list[Difference]:
    """Return what of the installed Nova is in no tested release.

    :param accepted: as for ``check``.
    """
    known = read_known()
    accepted = set(accepted)
    found = []
    for symbol, form in inspect().items():
        expected = tuple(known[symbol])
        if form not in expected:
            difference = Difference(symbol, form, expected)
            if not (
                difference.is_acceptable and difference.acceptance in accepted
            ):
                found.append(difference)
    return found


def nova_version() -> str:
    """Return the version of the installed Nova, as its package has it."""
    try:
        return metadata.version('nova')
    except metadata.PackageNotFoundError:
        return '(of an unknown version)'


def tested_releases() -> list[str]:
    """Return the versions of Nova that are recorded, the oldest first."""
    releases = {
        release
        for forms in read_known().values()
        for versions in forms.values()
        for release in versions
    }
    return sorted(releases, key=_by_number)


@functools.cache
def inspect() -> Mapping[symbols.Symbol, Form | None]:
    """Return what the installed Nova has; None is for what it has not.

    It does not change while a process runs.
    """
    try:
        return {
            symbol: _inspect_one(symbol)
            for symbol in sorted(symbols.SYMBOLS, key=str)
        }
    finally:
        _parse.cache_clear()


def _describe(unwanted: Sequence[Difference]) -> str:
    lines = [
        f'Nova {nova_version()} is not one of those that this package was '
        f'tested with ({", ".join(tested_releases())}):',
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


# -- what is known --


def read_known() -> dict[symbols.Symbol, dict[Form, list[str]]]:
    """Return the releases in which a symbol has a form, the newest first."""
    recorded = json.loads(_KNOWN.read_text()) if _KNOWN.exists() else {}
    return {
        symbol: {
            Form(form['signature'], form['digest']): form['releases']
            for form in recorded.get(str(symbol), [])
        }
        for symbol in symbols.SYMBOLS
    }


def record() -> None:
    """Add the installed Nova to what is known.

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


# -- what is installed --


def _inspect_one(symbol: symbols.Symbol) -> Form | None:
    module = _parse(symbol.module)
    if module is None:
        return None
    nodes = _definitions(module.body, symbol.name.split('.'))
    if not nodes:
        return None
    shapes = [
        _class_shape(node) if isinstance(node, ast.ClassDef) else _shape(node)
        for node in nodes
    ]
    digest = hashlib.sha256(repr(shapes).encode()).hexdigest()
    return Form(_signature(nodes[-1]), digest[:16])


@functools.lru_cache(maxsize=1)
def _parse(module: str) -> ast.Module | None:
    """Parse a module of Nova; None if there is none.

    Only one is kept: the largest takes a hundred megabytes.
    """
    package, *rest = module.split('.')
    # Of a module within, the packages around it would be imported.
    spec = importlib.util.find_spec(package)
    for folder in (spec and spec.submodule_search_locations) or ():
        path = pathlib.Path(folder, *rest)
        for file in (path.with_suffix('.py'), path / '__init__.py'):
            if file.is_file():
                return ast.parse(file.read_bytes(), str(file))
    return None


def _definitions(
    body: Sequence[ast.stmt], path: Sequence[str]
) -> list[_Definition]:
    """Return all definitions of a name: a property has several."""
    found = [
        node
        for node in body
        if isinstance(node, _Definition) and path[0] in _names(node)
    ]
    if len(path) == 1:
        return found
    return [
        inner
        for node in found
        if isinstance(node, ast.ClassDef)
        for inner in _definitions(node.body, path[1:])
    ]


def _names(node: _Definition) -> Iterator[str]:
    if isinstance(node, ast.Assign | ast.AnnAssign):
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target]
        )
        for target in targets:
            if isinstance(target, ast.Name):
                yield target.id
    else:
        yield node.name


def _signature(node: _Definition) -> str:
    """Return what a caller must know, for people and to compare."""
    if isinstance(node, ast.ClassDef):
        return f'class {node.name}({", ".join(map(ast.unparse, node.bases))})'
    if isinstance(node, ast.Assign | ast.AnnAssign):
        return 'an attribute'
    return f'{node.name}({_parameters(node.args)})'


def _parameters(args: ast.arguments) -> str:
    positional = [arg.arg for arg in [*args.posonlyargs, *args.args]]
    first = len(positional) - len(args.defaults)
    words = [
        name
        if index < first
        else f'{name}={_text(args.defaults[index - first])}'
        for index, name in enumerate(positional)
    ]
    if args.posonlyargs:
        words.insert(len(args.posonlyargs), '/')
    if args.vararg:
        words.append(f'*{args.vararg.arg}')
    elif args.kwonlyargs:
        words.append('*')
    for arg, default in zip(args.kwonlyargs, args.kw_defaults, strict=True):
        words.append(
            arg.arg if default is None else f'{arg.arg}={_text(default)}'
        )
    if args.kwarg:
        words.append(f'**{args.kwarg.arg}')
    return ', '.join(words)


def _text(default: ast.expr) -> str:
    return ast.unparse(default)


def _class_shape(node: ast.ClassDef) -> Any:
    """Return a class without the code of its methods.

    A method more is a difference: a derived class may have to have it, too.
    """
    return (
        [_shape(base) for base in node.bases],
        [_shape(decorator) for decorator in node.decorator_list],
        [
            (
                _signature(inner),
                [_shape(decorator) for decorator in inner.decorator_list],
            )
            if isinstance(inner, _Function)
            else _shape(inner)
            for inner in node.body
            if not _is_idle(inner)
        ],
    )


def _shape(value: Any) -> Any:
    """Return what code does, in plain tuples and lists.

    Not ``ast.dump``, which differs between versions of Python.
    """
    if isinstance(value, ast.AnnAssign) and value.value is not None:
        value = ast.Assign(targets=[value.target], value=value.value)
    if isinstance(value, ast.AST):
        return (
            type(value).__name__,
            [
                (name, _shape(field))
                for name, field in sorted(ast.iter_fields(value))
                if name not in _IRRELEVANT and field not in (None, [])
            ],
        )
    if isinstance(value, list):
        return [_shape(item) for item in value if not _is_idle(item)]
    return value


def _is_idle(node: Any) -> bool:
    """Whether it does nothing, as a docstring or a mere annotation."""
    return (
        isinstance(node, ast.Pass)
        or (
            isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        )
        or (isinstance(node, ast.AnnAssign) and node.value is None)
    )


def main(args: Sequence[str]) -> int:
    """Print what differs, after recording the installed Nova if told so."""
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
