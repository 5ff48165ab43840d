# SPDX-License-Identifier: Apache-2.0
"""The map of hosts and PCI flavors: sums first, then each host. Pure."""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
from typing import Final
from typing import NamedTuple

#: The hosts of a group, and the most rows that are single hosts.
GROUP: Final = 50

#: Shades between nothing free and all free.
_SHADES: Final = 4


class Count(NamedTuple):
    """How many devices there are, and in which state.

    Either a physical function or its virtual functions are free, not both.

    :ivar held: claimed for instances, or given to them.
    :ivar refused: refused by their host; not part of ``total``, unless held.
    """

    free: int
    total: int
    held: int = 0
    cleaning: int = 0
    quarantined: int = 0
    refused: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether there is no device."""
        return not any(self)

    @property
    def shade(self) -> str:
        """The name of a colour; the numbers say the same."""
        if not self.total:
            return 'absent'
        return str(-(-self.free * _SHADES // self.total))


NOTHING: Final = Count(0, 0)

#: The devices of each host.
Supply = Mapping[str, Count]


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """A host, or some hosts that follow each other by name.

    :ivar cells: one for each PCI flavor.
    """

    first: str
    last: str
    hosts: int
    cells: tuple[Count, ...]

    @property
    def is_group(self) -> bool:
        """Whether there is more to see by zooming in."""
        return self.hosts > 1


def rows(
    hosts: Sequence[str],
    supplies: Sequence[Supply],
    first: str | None = None,
) -> list[Row]:
    """Return the rows of the map.

    :param hosts: the names of all hosts, sorted.
    :param supplies: the devices of each PCI flavor.
    :param first: zoom in on the group that begins with this host; None means
        all hosts, which are single rows if they are few.
    """
    if first is not None:
        shown = [name for name in hosts if name >= first][:GROUP]
        size = 1
    else:
        shown = list(hosts)
        size = 1 if len(hosts) <= GROUP else GROUP
    return [
        _row(shown[start : start + size], supplies)
        for start in range(0, len(shown), size)
    ]


def _row(hosts: Sequence[str], supplies: Sequence[Supply]) -> Row:
    return Row(
        hosts[0],
        hosts[-1],
        len(hosts),
        tuple(_sum(hosts, supply) for supply in supplies),
    )


def _sum(hosts: Sequence[str], supply: Supply) -> Count:
    counts = [supply[name] for name in hosts if name in supply]
    return Count(*map(sum, zip(*counts, strict=True))) if counts else NOTHING
