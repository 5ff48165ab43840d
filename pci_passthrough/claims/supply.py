# SPDX-License-Identifier: Apache-2.0
"""What a host could give away now, as numbers by pool key."""

from collections.abc import Collection
from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
import itertools


@dataclasses.dataclass(frozen=True, slots=True)
class Family:
    """Physical functions that are free together with their VFs.

    Giving away the physical function takes its virtual functions out of the
    game and the other way round, so a family poses a choice. Families that
    look alike are counted, not listed: which one is opened does not matter.
    """

    #: pool key id of the physical function
    pf: int
    #: pool key id to number of its free virtual functions, sorted
    vfs: tuple[tuple[int, int], ...]
    #: how many such families the host has
    members: int


@dataclasses.dataclass(frozen=True, slots=True)
class Supply:
    """Free devices of one host.

    :ivar free: pool key id to number of devices that stand in no family.
    :ivar families: physical functions with their virtual functions.
    """

    free: Mapping[int, int]
    families: tuple[Family, ...] = ()

    def capacities(
        self, wanted: Collection[int], most_pfs: int
    ) -> Iterator[tuple[dict[int, int], tuple[int, ...]]]:
        """Yield every way to open families, fewest whole PFs first.

        :param wanted: pool key ids which any request could use.
        :param most_pfs: no use in giving away more whole PFs than this.
        :returns: pairs of (free devices by pool key id, number of opened
            members of each family).
        """
        choices = [
            range(min(family.members, most_pfs) + 1)
            if family.pf in wanted
            else range(1)
            for family in self.families
        ]
        for opened in sorted(
            (
                opened
                for opened in itertools.product(*choices)
                if sum(opened) <= most_pfs
            ),
            key=sum,
        ):
            yield self._capacity(opened), opened

    def total(self, key_ids: Collection[int]) -> int:
        """Count free devices of some keys, each family's both ways."""
        count = sum(self.free.get(key_id, 0) for key_id in key_ids)
        for family in self.families:
            count += family.members * (family.pf in key_ids)
            count += sum(
                family.members * n
                for key_id, n in family.vfs
                if key_id in key_ids
            )
        return count

    def _capacity(self, opened: tuple[int, ...]) -> dict[int, int]:
        capacity = dict(self.free)
        for family, as_pf in zip(self.families, opened, strict=True):
            capacity[family.pf] = capacity.get(family.pf, 0) + as_pf
            for key_id, count in family.vfs:
                capacity[key_id] = (
                    capacity.get(key_id, 0) + (family.members - as_pf) * count
                )
        return capacity
