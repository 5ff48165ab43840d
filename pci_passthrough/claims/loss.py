# SPDX-License-Identifier: Apache-2.0
"""What a host would lose by a decision: of several hosts, which goes first."""

import dataclasses
from typing import Self

from pci_passthrough.claims import consumption
from pci_passthrough.claims import decision as decision_mod
from pci_passthrough.claims import supply as supply_mod


@dataclasses.dataclass(frozen=True, order=True, slots=True)
class Loss:
    """Less is better; earlier fields count for more.

    :ivar preferences: for each demand, which of its alternatives serves it;
        0 is the one that is wanted most.
    :ivar whole: physical functions that are whole and would not be any more.
    :ivar kinds: how dear the devices are by their type: virtual functions
        are the cheapest, physical functions the dearest.
    :ivar tags: how much extra info they have. A request that asks for none
        of it would waste it.
    """

    preferences: tuple[int, ...]
    whole: int
    kinds: int
    tags: int

    @classmethod
    def of(
        cls,
        supply: supply_mod.Supply,
        decision: decision_mod.Decision,
        get_key: decision_mod.GetKey,
    ) -> Self:
        """Return what a decision costs the host.

        :param supply: what was decided on.
        :param decision: of ``decide``.
        :param get_key: pool key id to pool key.
        """
        kinds = tags = 0
        for pick in decision.picks:
            for key_id, count in pick.pools.items():
                key = get_key(key_id)
                kinds += count * decision_mod.DEV_TYPE_RANK[key.dev_type]
                tags += count * len(key.extra_info)
        return cls(
            tuple(
                pick.demand.alternatives.index(pick.alternative)
                for pick in decision.picks
            ),
            _whole(supply) - _whole(consumption.consume(supply, decision)),
            kinds,
            tags,
        )


def _whole(supply: supply_mod.Supply) -> int:
    return sum(family.members for family in supply.families)
