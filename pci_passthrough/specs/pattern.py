# SPDX-License-Identifier: Apache-2.0
"""How a text is recognized: exactly, by a glob or by a regular expression.

Each pattern is immutable, equal to one that means the same and was written
the same, and called with a text says whether it fits.
"""

from collections.abc import Callable
import dataclasses
import fnmatch
import re

#: Anything that recognizes a text. Hashable: conditions are sets of these.
Pattern = Callable[[str], bool]

#: Longest value or regular expression. A regular expression that backtracks
#: without end is not detected: only a host's own configuration has any, and
#: what they are compared with has some twenty characters.
MAX_LENGTH = 255

_SET = re.compile(r'\[!?(?:[0-9A-Za-z_](?:-[0-9A-Za-z_])?)+\]', re.ASCII)
_RANGE = re.compile(r'([0-9A-Za-z_])-([0-9A-Za-z_])', re.ASCII)


@dataclasses.dataclass(frozen=True, slots=True)
class Exact:
    """Recognizes one text."""

    text: str

    def __call__(self, value: str) -> bool:
        return value == self.text


@dataclasses.dataclass(frozen=True, slots=True)
class Regex:
    """Recognizes texts which match a regular expression as a whole."""

    pattern: re.Pattern[str]

    def __call__(self, value: str) -> bool:
        return self.pattern.fullmatch(value) is not None


@dataclasses.dataclass(frozen=True, slots=True)
class NoneOf:
    """Recognizes the texts which none of some patterns recognizes."""

    patterns: frozenset[Pattern]

    def __call__(self, value: str) -> bool:
        return not any(pattern(value) for pattern in self.patterns)


def shape(text: str, alphabet: str) -> str:
    """Check the characters of a glob and return what counts its length.

    :param text: plain text, or a glob as of Python's ``fnmatch``: ``*``,
        ``?``, ``[1-3]``, ``[!1-3]``.
    :param alphabet: the characters allowed beside those, as the inside of a
        regular expression's ``[…]``.
    :returns: the text with a ``?`` in place of each ``[…]``.
    :raises ValueError: other characters, or a malformed ``[…]``.
    """
    for one_set in _SET.findall(text):
        for low, high in _RANGE.findall(one_set):
            if low > high:
                raise ValueError(f'the range {low}-{high} is empty')
    shaped = _SET.sub('?', text)
    if not re.fullmatch(f'[{alphabet}*?]+', shaped, re.ASCII):
        raise ValueError(f'{text!r} has characters which have no place here')
    return shaped


def glob(text: str) -> Exact | Regex:
    """Return what recognizes a text whose ``shape`` was checked."""
    if not any(character in text for character in '*?['):
        return Exact(text)
    return Regex(re.compile(fnmatch.translate(text)))


def regex(text: str, *, ignore_case: bool = False) -> re.Pattern[str]:
    """Compile a regular expression that an operator wrote.

    :raises ValueError: it is too long, or no regular expression of Python.
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


def hexadecimal(what: str, text: str, digits: int, most: int) -> str:
    """Return a hexadecimal number or glob in the form that sysfs prints.

    :param what: what it is, for the error.
    :param text: with or without ``0x``, in upper or lower case.
    :param digits: to how many digits it is filled up on the left.
    :param most: the greatest value.
    :raises ValueError: it is no such number, or a glob that can match none.
    """
    text = text.strip().lower().removeprefix('0x')
    try:
        shaped = shape(text, '0-9a-f')
    except ValueError as error:
        raise ValueError(f'{what} is not hexadecimal: {error}') from error
    if shaped == text and not any(wild in text for wild in '*?'):
        if int(text, 16) > most:
            raise ValueError(f'{what} {text} is greater than {most:x}')
        return format(int(text, 16), f'0{digits}x')
    fixed = len(shaped.replace('*', ''))
    too_short = '*' not in shaped and fixed < digits
    if too_short or fixed > max(digits, len(f'{most:x}')):
        raise ValueError(f'{what} {text} fits no {digits} digits')
    return text
