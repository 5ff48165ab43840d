# SPDX-License-Identifier: Apache-2.0
"""Reads the form of a symbol, its signature and digest, from Nova's source.

Nova's source files are parsed, never imported: ``verify`` runs when a process
has hardly begun, and modules of Nova must not be imported then. So the form
is that of Nova's code, even if the symbol has been replaced.

The digest of a function does not depend on comments, docstrings, type
annotations, blanks or the version of Python. It changes only with the code.
"""

import ast
from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
import functools
import hashlib
import importlib.util
import pathlib
from typing import Any

from pci_passthrough.nova_plugin.install import symbols

#: Fields of ``ast`` nodes that do not change the effect of code.
_IRRELEVANT = frozenset(
    {'annotation', 'ctx', 'kind', 'returns', 'type_comment', 'type_params'}
)

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_Definition = _Function | ast.ClassDef | ast.Assign | ast.AnnAssign


@dataclasses.dataclass(frozen=True, order=True)
class Form:
    """The form of a symbol in one release of Nova.

    :ivar signature: the parameters of a function, or the bases of a class.
    :ivar digest: a hash of the code.
    """

    signature: str
    digest: str


def form_of(symbol: symbols.Symbol) -> Form | None:
    """Return the form of a symbol in the installed Nova.

    :returns: None if Nova has no such symbol.
    """
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
    """Parse a module of Nova; None if there is no such module.

    Only the last one is kept in memory: the largest takes 100 MB.
    """
    package, *rest = module.split('.')
    # find_spec of a submodule would import the packages around it.
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
    """Return all definitions of a name; a property has several."""
    definitions = [
        node
        for node in body
        if isinstance(node, _Definition) and path[0] in _names(node)
    ]
    if len(path) == 1:
        return definitions
    return [
        inner
        for node in definitions
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
    """Return the signature of a function, or the bases of a class."""
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

    A further method is a difference: derived classes may have to override it.
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
    """Return the effect of code as plain tuples and lists.

    ``ast.dump`` differs between versions of Python.
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
    """Whether a node has no effect, as docstrings and annotations."""
    return (
        isinstance(node, ast.Pass)
        or (
            isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        )
        or (isinstance(node, ast.AnnAssign) and node.value is None)
    )


def forget_parsed() -> None:
    """Free the memory of the last parsed module."""
    _parse.cache_clear()
