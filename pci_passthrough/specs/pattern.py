# SPDX-License-Identifier: Apache-2.0
"""Patterns that values are compared with: exact, glob, regular expression.

A pattern is immutable and hashable, and called with a value returns whether
the value matches. Patterns with the same meaning and spelling are equal.
"""

from collections.abc import Callable
import dataclasses
import fnmatch
import re

#: Returns whether a value matches. Hashable: conditions are sets of these.
Pattern = Callable[[str], bool]

#: Longest value or regular expression. A regular expression with endless
#: backtracking is not detected: only a host's own configuration has regular
#: expressions, and they are compared with values of some twenty characters.
MAX_LENGTH = 255

_SET = re.compile(r'\[!?(?:[0-9A-Za-z_](?:-[0-9A-Za-z_])?)+\]', re.ASCII)
_RANGE = re.compile(r'([0-9A-Za-z_])-([0-9A-Za-z_])', re.ASCII)


@dataclasses.dataclass(frozen=True, slots=True)
class Exact:
    """Matches one value."""

    text: str

    def __call__(self, value: str) -> bool:
        return value == self.text


@dataclasses.dataclass(frozen=True, slots=True)
class Regex:
    """Matches values that a regular expression matches as a whole."""

    pattern: re.Pattern[str]

    def __call__(self, value: str) -> bool:
        return self.pattern.fullmatch(value) is not None


@dataclasses.dataclass(frozen=True, slots=True)
class NoneOf:
    """Matches values that match none of some patterns."""

    patterns: frozenset[Pattern]

    def __call__(self, value: str) -> bool:
        return not any(pattern(value) for pattern in self.patterns)


def collapse_sets(text: str, alphabet: str) -> str:
    """Check a glob's characters; return the glob with ``?`` for each ``[…]``.

    The length of the result is the number of characters that the glob
    matches, if it has no ``*``.

    :param text: plain text, or a glob of Python's ``fnmatch``: ``*``, ``?``,
        ``[1-3]``, ``[!1-3]``.
    :param alphabet: the other allowed characters, as the inside of a regular
        expression's ``[…]``.
    :raises ValueError: other characters, or a malformed ``[…]``.
    """
    for character_set in _SET.findall(text):
        for low, high in _RANGE.findall(character_set):
            if low > high:
                raise ValueError(f'the range {low}-{high} is empty')
    collapsed = _SET.sub('?', text)
    if not re.fullmatch(f'[{alphabet}*?]+', collapsed, re.ASCII):
        raise ValueError(f'{text!r} has characters that are not allowed here')
    return collapsed


def compile_glob(text: str) -> Exact | Regex:
    """Return the pattern of a glob that ``collapse_sets`` has checked."""
    if not any(character in text for character in '*?['):
        return Exact(text)
    return Regex(re.compile(fnmatch.translate(text)))


def compile_regex(text: str, *, ignore_case: bool = False) -> re.Pattern[str]:
    """Compile a regular expression that an operator wrote.

    :raises ValueError: it is too long, or not valid in Python.
    """
    if len(text) > MAX_LENGTH:
        raise ValueError(
            f'the regular expression is longer than {MAX_LENGTH} characters'
        )
    try:
        return re.compile(text, re.IGNORECASE if ignore_case else 0)
    except (
        re.error,
        OverflowError,
        RecursionError,
        # "Possible nested set", where warnings are made errors.
        FutureWarning,
    ) as error:
        raise ValueError(
            f'{text!r} is no regular expression: {error}'
        ) from error


def normalize_hex(name: str, text: str, digits: int, maximum: int) -> str:
    """Return a hexadecimal number or glob in the form that sysfs prints.

    :param name: the number's name in error messages.
    :param text: with or without ``0x``, in upper or lower case.
    :param digits: a shorter number is filled with zeros to this length.
    :param maximum: the greatest allowed value.
    :raises ValueError: not hexadecimal, too great, or a glob that matches no
        number of this length.
    """
    text = text.strip().lower().removeprefix('0x')
    try:
        collapsed = collapse_sets(text, '0-9a-f')
    except ValueError as error:
        raise ValueError(f'{name} is not hexadecimal: {error}') from error
    if collapsed == text and not any(wildcard in text for wildcard in '*?'):
        if int(text, 16) > maximum:
            raise ValueError(f'{name} {text} is greater than {maximum:x}')
        return format(int(text, 16), f'0{digits}x')
    fixed = len(collapsed.replace('*', ''))
    too_short = '*' not in collapsed and fixed < digits
    if too_short or fixed > max(digits, len(f'{maximum:x}')):
        raise ValueError(f'{name} {text} fits no {digits} digits')
    return text
