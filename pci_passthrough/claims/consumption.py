# SPDX-License-Identifier: Apache-2.0
"""Subtracts a decision's devices from the supply of its host.

The scheduler needs the remaining supply to place several instances of one
request, and to compare the losses of hosts.
"""

import collections
import dataclasses

from pci_passthrough.claims import decision as decision_mod
from pci_passthrough.claims import supply as supply_mod


def consume(decision: decision_mod.Decision) -> supply_mod.Supply:
    """Return what remains after a decision of the supply it was made on.

    Virtual functions are taken as ``choice.choose`` takes them: those of a
    whole physical function go last, and all of one physical function before
    the next is broken up. Which of several families is broken up first
    depends on addresses, which a supply does not have; here it is the first.

    A supply does not have IOMMU groups either. If the devices that a decision
    takes share their groups with others of the supply, these remain here,
    although no other instance can have them. Another instance that is placed
    by them has its claim refused, and Nova tries the next host.

    :param decision: an answer of ``decide``.
    """
    supply = decision.supply
    free = collections.Counter(supply.free)
    whole = []
    for family, as_pf in zip(supply.families, decision.opened, strict=True):
        free[family.pf] += as_pf
        whole.append(family.members - as_pf)
    for pick in decision.picks:
        for key_id, count in sorted(pick.pools.items()):
            while free[key_id] < count:
                _break_family(supply.families, key_id, free, whole)
            free[key_id] -= count
    return supply_mod.Supply(
        {key_id: count for key_id, count in free.items() if count},
        tuple(
            dataclasses.replace(family, members=members)
            for family, members in zip(supply.families, whole, strict=True)
            if members
        ),
    )


def _break_family(
    families: tuple[supply_mod.Family, ...],
    key_id: int,
    free: collections.Counter[int],
    whole: list[int],
) -> None:
    """Break up a whole physical function into its virtual functions.

    :param key_id: the pool key that lacks a virtual function.
    :param whole: for each family, its number of whole physical functions.
    """
    index = next(
        index
        for index, family in enumerate(families)
        if whole[index] and family.vfs_of({key_id})
    )
    whole[index] -= 1
    free.update(dict(families[index].vfs))
