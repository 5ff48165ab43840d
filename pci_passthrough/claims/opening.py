# SPDX-License-Identifier: Apache-2.0
"""Decides how many physical functions are given whole to meet requirements.

This is a covering problem. Opening a family (giving its physical function as
a whole) adds one device for each requirement that the physical function can
serve, and takes devices from each requirement that its virtual functions can
serve. The search is depth first, family by family. Two ways that lead to the
same missing numbers are equal for the remaining families, so each such state
is computed once; bounds cut the states that the remaining families cannot
fulfil. Hosts have tens of families at most, and requests for whole physical
functions are small.
"""

from collections.abc import Mapping
from collections.abc import Sequence
import itertools

from pci_passthrough.claims import assignment
from pci_passthrough.claims import supply as supply_mod

#: Number of opened members and their price; for each remaining family, the
#: number of its opened members.
_Opening = tuple[int, int, tuple[int, ...]]


def fewest(
    supply: supply_mod.Supply,
    requirements: Sequence[assignment.Requirement],
    prices: Mapping[int, int],
) -> tuple[int, ...] | None:
    """Open as few members of families as possible, and the cheapest ones.

    :param requirements: all have to be fulfilled.
    :param prices: pool key id of a physical function to its price.
    :returns: for each of the supply's families, how many members are given
        as whole physical functions; None if the requirements cannot be
        fulfilled.
    """
    closed = [
        sum(supply.free.get(key_id, 0) for key_id in requirement.key_ids)
        + sum(
            family.members * family.vfs_of(requirement.key_ids)
            for family in supply.families
        )
        for requirement in requirements
    ]
    missing = tuple(
        requirement.count - available
        for requirement, available in zip(requirements, closed, strict=True)
    )
    if all(count <= 0 for count in missing):
        return (0,) * len(supply.families)
    best = _Search(supply.families, requirements, prices).best(0, missing)
    return None if best is None else best[2]


class _Search:
    def __init__(
        self,
        families: Sequence[supply_mod.Family],
        requirements: Sequence[assignment.Requirement],
        prices: Mapping[int, int],
    ) -> None:
        self._members = [family.members for family in families]
        self._prices = [prices.get(family.pf, 0) for family in families]
        #: for each family and requirement, the change of the number of
        #: devices by opening one member
        self._effects = [
            [
                (family.pf in requirement.key_ids)
                - family.vfs_of(requirement.key_ids)
                for requirement in requirements
            ]
            for family in families
        ]
        self._known: dict[tuple[int, tuple[int, ...]], _Opening | None] = {}
        self._losses: dict[tuple[int, int, int], list[int]] = {}
        #: for each place and requirement, how many devices the families from
        #: this place on can take away at most
        self._drain = [
            [
                sum(
                    -min(0, effects[r]) * members
                    for effects, members in zip(
                        self._effects[place:],
                        self._members[place:],
                        strict=True,
                    )
                )
                for r in range(len(requirements))
            ]
            for place in range(len(families) + 1)
        ]

    def best(self, place: int, missing: tuple[int, ...]) -> _Opening | None:
        """Return the best opening of the families from a place on.

        :param missing: for each requirement, how many devices it lacks while
            the families from this place on are closed; negative for spare
            devices.
        """
        if all(count <= 0 for count in missing):
            return 0, 0, (0,) * (len(self._members) - place)
        # Having more spare devices than can be taken away makes no difference.
        state = place, tuple(map(max, missing, self._spared(place)))
        if state not in self._known:
            self._known[state] = (
                self._try_all(*state) if self._possible(*state) else None
            )
        return self._known[state]

    def _spared(self, place: int) -> list[int]:
        return [-count for count in self._drain[place]]

    def _possible(self, place: int, missing: Sequence[int]) -> bool:
        """Return False if some pair of requirements cannot be fulfilled."""
        for wanting, lack in enumerate(missing):
            if lack <= 0:
                continue
            for losing, other in enumerate(missing):
                losses = self._least_losses(place, wanting, losing)
                if lack >= len(losses) or losses[lack] > -other:
                    return False
        return True

    def _least_losses(
        self, place: int, wanting: int, losing: int
    ) -> list[int]:
        """Return the least losses of one requirement in favour of another.

        :returns: the index is the number of devices that ``wanting`` lacks,
            the value the number of devices that ``losing`` then loses;
            negative if it gains.
        """
        index = place, wanting, losing
        if index not in self._losses:
            others = 0
            each = []
            for effects, members in zip(
                self._effects[place:], self._members[place:], strict=True
            ):
                if effects[wanting] > 0:
                    each += [-effects[losing]] * members
                else:
                    others += max(0, effects[losing]) * members
            sums = itertools.accumulate(sorted(each), initial=-others)
            # Opening more members than ``wanting`` lacks may be cheaper.
            at_least = itertools.accumulate(reversed(list(sums)), min)
            self._losses[index] = list(at_least)[::-1]
        return self._losses[index]

    def _try_all(
        self, place: int, missing: tuple[int, ...]
    ) -> _Opening | None:
        effects = self._effects[place]
        # Later families may take away devices that are not missing yet.
        useful = max(
            lack + drain if effect > 0 else 0
            for lack, drain, effect in zip(
                missing, self._drain[place + 1], effects, strict=True
            )
        )
        best = None
        for count in range(min(self._members[place], useful), -1, -1):
            rest = self.best(
                place + 1,
                tuple(
                    lack - count * effect
                    for lack, effect in zip(missing, effects, strict=True)
                ),
            )
            if rest is None:
                continue
            opening = (
                count + rest[0],
                count * self._prices[place] + rest[1],
                (count, *rest[2]),
            )
            if best is None or opening[:2] < best[:2]:
                best = opening
        return best
