# SPDX-License-Identifier: Apache-2.0
"""The cost of a decision to its host, by which the weigher orders hosts."""

import collections
from collections.abc import Mapping
import dataclasses
from typing import Self

from pci_passthrough.claims import consumption
from pci_passthrough.claims import decision as decision_mod
from pci_passthrough.claims import supply as supply_mod


@dataclasses.dataclass(frozen=True, order=True, slots=True)
class Loss:
    """The cost of one decision; less is better, earlier fields count more.

    :ivar failed: number of devices with failed starts that it takes at least.
    :ivar preferences: for each demand, the index of the alternative that
        serves it; 0 is the most preferred.
    :ivar whole: number of physical functions, now free with all of their
        virtual functions, that would no longer be so.
    :ivar type_cost: sum of ``DEV_TYPE_RANK`` over the devices: virtual
        functions are the cheapest, physical functions the most expensive.
    :ivar tags: number of extra info tags of the devices. A request that asks
        for none of them would waste them.
    """

    failed: int
    preferences: tuple[int, ...]
    whole: int
    type_cost: int
    tags: int

    @classmethod
    def of(
        cls,
        decision: decision_mod.Decision,
        get_key: decision_mod.GetKey,
        proven: supply_mod.Supply | None = None,
    ) -> Self:
        """Return the loss of a host by a decision.

        :param decision: an answer of ``decide_sparing``.
        :param get_key: pool key id to pool key.
        :param proven: the host's supply without the devices with failed
            starts; None means that the host has none of them.
        """
        type_cost = tags = 0
        taken: collections.Counter[int] = collections.Counter()
        for pick in decision.picks:
            for key_id, count in pick.pools.items():
                key = get_key(key_id)
                taken[key_id] += count
                type_cost += count * decision_mod.DEV_TYPE_RANK[key.dev_type]
                tags += count * len(key.extra_info)
        return cls(
            _failed(decision, taken, proven),
            tuple(
                pick.demand.alternatives.index(pick.alternative)
                for pick in decision.picks
            ),
            _whole(decision.supply) - _whole(consumption.consume(decision)),
            type_cost,
            tags,
        )


def _failed(
    decision: decision_mod.Decision,
    taken: Mapping[int, int],
    proven: supply_mod.Supply | None,
) -> int:
    """Return how many devices with failed starts a decision takes at least.

    :param taken: pool key id to number of devices that it takes.
    """
    if proven is None or decision.supply == proven:
        return 0
    beyond = sum(
        max(0, count - proven.total({key_id}))
        for key_id, count in taken.items()
    )
    # Else it would have been made without them.
    return max(1, beyond)


def _whole(supply: supply_mod.Supply) -> int:
    return sum(family.members for family in supply.families)
