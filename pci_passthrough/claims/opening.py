# SPDX-License-Identifier: Apache-2.0
"""How many physical functions go whole, so that all requirements are met.

A covering problem: opening a family (giving away its physical function)
adds one device for a requirement which the physical function can serve, and
takes devices away from those which its virtual functions could serve.
Searched depth first, family by family. What is still missing is all that
counts of the families passed so far, so each such state is looked at once;
bounds cut those which the families ahead cannot save. Hosts have tens of
families at most, and requests for whole physical functions are small.
"""

from collections.abc import Mapping
from collections.abc import Sequence
import itertools

from pci_passthrough.claims import assignment
from pci_passthrough.claims import supply as supply_mod

#: Number of opened families, their price, how many of each family onwards.
_Found = tuple[int, int, tuple[int, ...]]


def fewest(
    supply: supply_mod.Supply,
    requirements: Sequence[assignment.Requirement],
    prices: Mapping[int, int],
) -> tuple[int, ...] | None:
    """Open as few families as possible, of these the cheapest.

    :param requirements: all to be fulfilled.
    :param prices: pool key id of a physical function to what it costs to
        give one away.
    :returns: how many members of each of the supply's families go as whole
        physical functions; None if nothing fulfils all requirements.
    """
    closed = [
        sum(supply.free.get(key_id, 0) for key_id in one.key_ids)
        + sum(f.members * f.vfs_of(one.key_ids) for f in supply.families)
        for one in requirements
    ]
    missing = tuple(
        one.count - there
        for one, there in zip(requirements, closed, strict=True)
    )
    if all(count <= 0 for count in missing):
        return (0,) * len(supply.families)
    found = _Search(supply.families, requirements, prices).best(0, missing)
    return None if found is None else found[2]


class _Search:
    def __init__(
        self,
        families: Sequence[supply_mod.Family],
        requirements: Sequence[assignment.Requirement],
        prices: Mapping[int, int],
    ) -> None:
        self._members = [family.members for family in families]
        self._prices = [prices.get(family.pf, 0) for family in families]
        #: for each family and requirement, devices more if one is opened
        self._effects = [
            [
                (family.pf in one.key_ids) - family.vfs_of(one.key_ids)
                for one in requirements
            ]
            for family in families
        ]
        self._known: dict[tuple[int, tuple[int, ...]], _Found | None] = {}
        self._losses: dict[tuple[int, int, int], list[int]] = {}
        #: for each place and requirement, what all families from there on
        #: could take away at most
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

    def best(self, place: int, missing: tuple[int, ...]) -> _Found | None:
        """Return the best way to open families from a place on.

        :param missing: for each requirement how many devices it lacks, with
            all families from there on closed; negative if it has more.
        """
        if all(count <= 0 for count in missing):
            return 0, 0, (0,) * (len(self._members) - place)
        # More than can be taken away is as good as exactly that much.
        state = place, tuple(map(max, missing, self._spared(place)))
        if state not in self._known:
            self._known[state] = (
                self._try_all(*state) if self._possible(*state) else None
            )
        return self._known[state]

    def _spared(self, place: int) -> list[int]:
        return [-count for count in self._drain[place]]

    def _possible(self, place: int, missing: Sequence[int]) -> bool:
        """Whether no single pair of requirements rules all ways out."""
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
        """Return what one requirement loses at least for another.

        :returns: by number of devices that ``wanting`` lacks, how many
            ``losing`` then has less; negative if more.
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
            # More may be opened than ``wanting`` lacks.
            at_least = itertools.accumulate(reversed(list(sums)), min)
            self._losses[index] = list(at_least)[::-1]
        return self._losses[index]

    def _try_all(self, place: int, missing: tuple[int, ...]) -> _Found | None:
        effects = self._effects[place]
        # Families further on may take away what is not missing yet.
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
            found = (
                count + rest[0],
                count * self._prices[place] + rest[1],
                (count, *rest[2]),
            )
            if best is None or found[:2] < best[:2]:
                best = found
        return best
