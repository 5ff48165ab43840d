# SPDX-License-Identifier: Apache-2.0
"""Parses ``[agent] handler_command``: an operator's programs."""

from collections.abc import Sequence
import dataclasses
import json
import re
from typing import Any
from typing import TypeGuard

from pci_passthrough import exception

VERBS = ('clean', 'verify', 'setup')

_KEYS = ('name', 'program', 'verbs', 'timeout')
_NAME = re.compile(r'[a-z0-9][a-z0-9_.-]{0,39}', re.ASCII)
_TIMEOUT = 600.0

_EXAMPLE = (
    '{"name": "attest", "program": ["/usr/local/bin/attest"], '
    '"verbs": ["verify"], "timeout": 120}'
)


@dataclasses.dataclass(frozen=True, slots=True)
class HandlerCommand:
    """One program and when to run it."""

    name: str
    #: program and arguments
    program: tuple[str, ...]
    #: some of ``VERBS``
    verbs: tuple[str, ...]
    #: seconds
    timeout: float


def parse(values: Sequence[str]) -> dict[str, HandlerCommand]:
    """Parse the values of the option; return the commands by name.

    :param values: one JSON object each.
    :raises InvalidConfiguration: a value is malformed, or a name is used
        twice.
    """
    commands: dict[str, HandlerCommand] = {}
    for value in values:
        try:
            command = _command(json.loads(value))
            if command.name in commands:
                raise ValueError(f'the name {command.name!r} is used twice')
        except ValueError as error:
            raise exception.InvalidConfiguration(
                f'[agent] handler_command {value}: {error}; right would be, '
                f'for example: {_EXAMPLE}'
            ) from error
        commands[command.name] = command
    return commands


def _command(document: Any) -> HandlerCommand:
    """Return a command.

    :raises ValueError: the document is malformed.
    """
    if not isinstance(document, dict):
        raise ValueError('not an object')
    for key in document:
        if key not in _KEYS:
            raise ValueError(f'unknown key {key!r}')
    name = document.get('name')
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(
            '"name" must be up to 40 lower-case letters, digits, and ".-_"'
        )
    program = document.get('program')
    if not _is_list_of_texts(program) or not program[0].startswith('/'):
        raise ValueError(
            '"program" must be a list of strings that begins with the full '
            'path of a program'
        )
    verbs = document.get('verbs', ['clean'])
    if not _is_list_of_texts(verbs) or not set(verbs) <= set(VERBS):
        raise ValueError(f'"verbs" must be some of {", ".join(VERBS)}')
    timeout = document.get('timeout', _TIMEOUT)
    if (
        isinstance(timeout, bool)
        or not isinstance(timeout, int | float)
        or not 0 < timeout < float('inf')
    ):
        raise ValueError('"timeout" must be a number of seconds above 0')
    return HandlerCommand(name, tuple(program), tuple(verbs), float(timeout))


def _is_list_of_texts(value: Any) -> TypeGuard[list[str]]:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(text, str) and '\0' not in text for text in value)
    )
