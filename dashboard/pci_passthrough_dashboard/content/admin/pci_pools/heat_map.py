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
    """How many devices are free, and how many there are."""

    free: int
    total: int

    @property
    def shade(self) -> str:
        """The name of a colour; the numbers say the same."""
        if not self.total:
            return 'absent'
        return str(-(-self.free * _SHADES // self.total))


#: The devices of each host.
Supply = Mapping[str, Count]


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """A host, or some hosts that follow each other by name.

    :ivar cells: one for each PCI flavor.
    :ivar others: how many devices are in each state that needs attention.
    """

    first: str
    last: str
    hosts: int
    cells: tuple[Count, ...]
    others: tuple[int, ...]

    @property
    def is_group(self) -> bool:
        """Whether there is more to see by zooming in."""
        return self.hosts > 1


def rows(
    hosts: Sequence[str],
    supplies: Sequence[Supply],
    others: Sequence[Mapping[str, int]],
    first: str | None = None,
) -> list[Row]:
    """Return the rows of the map.

    :param hosts: the names of all hosts, sorted.
    :param supplies: the devices of each PCI flavor.
    :param others: the number of devices of each host, by state.
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
        _row(shown[start : start + size], supplies, others)
        for start in range(0, len(shown), size)
    ]


def _row(
    hosts: Sequence[str],
    supplies: Sequence[Supply],
    others: Sequence[Mapping[str, int]],
) -> Row:
    return Row(
        hosts[0],
        hosts[-1],
        len(hosts),
        tuple(_sum(hosts, supply) for supply in supplies),
        tuple(sum(state.get(name, 0) for name in hosts) for state in others),
    )


def _sum(hosts: Sequence[str], supply: Supply) -> Count:
    counts = [supply[name] for name in hosts if name in supply]
    return Count(
        sum(count.free for count in counts),
        sum(count.total for count in counts),
    )
