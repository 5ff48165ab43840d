# SPDX-License-Identifier: Apache-2.0
"""One symbol of Nova that this project relies on."""

from collections.abc import Mapping
import dataclasses
import enum


class Use(enum.Enum):
    """The way in which this project uses a symbol."""

    REPLACED = 'replaced'
    OVERRIDDEN = 'overridden'
    CALLED = 'called'
    RELIED_ON = 'relied on'


@dataclasses.dataclass(frozen=True)
class Symbol:
    """A function, class or attribute of Nova.

    :ivar module: the module that defines it, not one that imports it.
    :ivar name: its name in the module, ``Class.method`` for a method.
    :ivar why: the purpose of the symbol, for a message that it has changed.
    """

    module: str
    name: str
    use: Use
    why: str

    def __str__(self) -> str:
        return f'{self.module}:{self.name}'


def listed(
    module: str, use: Use, names: Mapping[str, str]
) -> tuple[Symbol, ...]:
    """Return symbols of one module that are used in the same way.

    :param names: name to purpose.
    """
    return tuple(Symbol(module, name, use, why) for name, why in names.items())
