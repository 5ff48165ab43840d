# SPDX-License-Identifier: Apache-2.0
"""The free devices of a host, counted by pool key."""

from collections.abc import Collection
from collections.abc import Mapping
from collections.abc import Sequence
from collections.abc import Set
import dataclasses
from typing import Final

from pci_passthrough.claims import assignment


@dataclasses.dataclass(frozen=True, slots=True)
class Family:
    """Physical functions that are free together with their VFs.

    Either a physical function is given as a whole, or some of its virtual
    functions are: a decision has to choose. Equal families are counted, not
    listed, because it makes no difference which of them is opened.
    """

    #: pool key id of the physical function
    pf: int
    #: pool key id to number of its free virtual functions, sorted
    vfs: tuple[tuple[int, int], ...]
    #: number of equal families on the host
    members: int

    def vfs_of(self, key_ids: Collection[int]) -> int:
        """Return how many virtual functions of some keys one member has."""
        return sum(count for key_id, count in self.vfs if key_id in key_ids)


@dataclasses.dataclass(frozen=True, slots=True)
class Supply:
    """Free devices of one host.

    :ivar free: pool key id to number of devices that belong to no family.
    :ivar families: physical functions with their virtual functions.
    """

    free: Mapping[int, int]
    families: tuple[Family, ...] = ()

    def pools(self) -> Set[assignment.Pool]:
        """Return all pools, for families both opened and closed."""
        return (
            {(key_id, False) for key_id, count in self.free.items() if count}
            | {(family.pf, False) for family in self.families}
            | {(k, True) for family in self.families for k, _ in family.vfs}
        )

    def capacity(self, opened: Sequence[int]) -> Mapping[assignment.Pool, int]:
        """Return the number of devices by pool.

        :param opened: for each family, how many members are given as whole
            physical functions; the others provide virtual functions.
        """
        capacity = {(key_id, False): n for key_id, n in self.free.items()}
        for family, as_pf in zip(self.families, opened, strict=True):
            pf = (family.pf, False)
            capacity[pf] = capacity.get(pf, 0) + as_pf
            for key_id, count in family.vfs:
                vf = (key_id, True)
                vfs = (family.members - as_pf) * count
                capacity[vf] = capacity.get(vf, 0) + vfs
        return capacity

    def total(self, key_ids: Collection[int]) -> int:
        """Return how many devices of some keys can be given at most.

        In each family either the physical function counts or its virtual
        functions, whichever are more.
        """
        return sum(self.free.get(key_id, 0) for key_id in key_ids) + sum(
            family.members * max(family.pf in key_ids, family.vfs_of(key_ids))
            for family in self.families
        )

    def requests(self, key_ids: Collection[int], count: int) -> int:
        """Return how many equal requests can be served one after the other.

        No request wastes devices: the devices of a PCI flavor serve a request
        in any mixture, and ``decide`` gives a physical function as a whole
        only if the PCI flavor matches none of its virtual functions. But if
        devices of the PCI flavor share an IOMMU group, requests of different
        instances cannot have one each; this is the number for one instance.

        :param key_ids: pool keys that the requests' PCI flavor matches.
        :param count: number of devices of each request.
        """
        return self.total(key_ids) // count


#: The supply of a host without free devices.
NO_SUPPLY: Final = Supply({})
