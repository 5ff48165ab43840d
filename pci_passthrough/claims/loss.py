# SPDX-License-Identifier: Apache-2.0
"""The cost of a decision to its host, by which the weigher orders hosts."""

import collections
from collections.abc import Mapping
import dataclasses
import types
from typing import Final
from typing import Self

from pci_passthrough.claims import consumption
from pci_passthrough.claims import decision as decision_mod
from pci_passthrough.claims import supply as supply_mod

_NONE: Final[Mapping[int, int]] = types.MappingProxyType({})


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
        supply: supply_mod.Supply,
        decision: decision_mod.Decision,
        get_key: decision_mod.GetKey,
        failed: Mapping[int, int] = _NONE,
    ) -> Self:
        """Return the loss of a host by a decision.

        :param supply: the supply that the decision was made on.
        :param decision: an answer of ``decide``.
        :param get_key: pool key id to pool key.
        :param failed: pool key id to number of free devices with failed
            starts.
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
            sum(
                max(0, taken[key_id] + count - supply.total({key_id}))
                for key_id, count in failed.items()
                if key_id in taken
            ),
            tuple(
                pick.demand.alternatives.index(pick.alternative)
                for pick in decision.picks
            ),
            _whole(supply) - _whole(consumption.consume(supply, decision)),
            type_cost,
            tags,
        )


def _whole(supply: supply_mod.Supply) -> int:
    return sum(family.members for family in supply.families)
