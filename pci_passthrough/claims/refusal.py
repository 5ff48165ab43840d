# SPDX-License-Identifier: Apache-2.0
"""Why a host cannot serve a set of requests, in numbers."""

import collections
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses

from pci_passthrough import objects
from pci_passthrough.claims import decision as decision_mod
from pci_passthrough.claims import supply as supply_mod


@dataclasses.dataclass(frozen=True, slots=True)
class PoolTotal:
    """All devices of one pool key on a host, whatever their state.

    :ivar states: state to number of devices.
    """

    key_id: int
    states: Mapping[str, int]

    @property
    def count(self) -> int:
        """How many devices there are."""
        return sum(self.states.values())


def explain(
    host: str,
    demands: Sequence[decision_mod.Demand],
    supply: supply_mod.Supply,
    totals: Iterable[PoolTotal],
    get_key: decision_mod.GetKey,
    numa: objects.NumaAffinity | None = None,
) -> list[objects.RefusalReason]:
    """Return, for each demand and alternative, the condition that failed.

    Only demands that cannot be served even alone are named; if there is
    none, all are, with the condition ``shared``.
    """
    by_key = {total.key_id: total for total in totals}
    reasons = [
        _first_failure(host, demand, alternative, supply, by_key, get_key, numa)
        for demand in demands
        for alternative in demand.alternatives
    ]
    alone = {r.request_id for r in reasons if r.condition == 'shared'}
    guilty = [r for r in reasons if r.request_id not in alone]
    return guilty or reasons


def summarize(reasons: Iterable[objects.RefusalReason]) -> str:
    """Return one line such as ``3 hosts: no free bigGPU``."""
    hosts: dict[str, set[str]] = collections.defaultdict(set)
    for reason in reasons:
        hosts[_phrase(reason)].add(reason.host)
    return '; '.join(
        f'{len(names)} host{"s" if len(names) > 1 else ""}: {phrase}'
        for phrase, names in sorted(
            hosts.items(), key=lambda item: (-len(item[1]), item[0])
        )
    )


def _phrase(reason: objects.RefusalReason) -> str:
    name = reason.pci_flavor
    return {
        'no_match': f'no device matches {name}',
        'all_held': f'no free {name}',
        'too_few': f'{reason.left} free {name}, {reason.needed} needed',
        'numa': f'{reason.left} {name} near the instance (NUMA), '
        f'{reason.needed} needed',
        'shared': f'{name} is needed for other requests of the instance',
        'host_down': 'has not reported for too long',
    }[str(reason.condition)]


def _first_failure(
    host: str,
    demand: decision_mod.Demand,
    alternative: decision_mod.Alternative,
    supply: supply_mod.Supply,
    totals: Mapping[int, PoolTotal],
    get_key: decision_mod.GetKey,
    numa: objects.NumaAffinity | None,
) -> objects.RefusalReason:
    matched = [totals[k] for k in sorted(alternative.key_ids) if k in totals]
    free = supply.total(alternative.key_ids)
    near = supply.total(
        {
            key_id
            for key_id in alternative.key_ids
            if decision_mod.numa_penalty(
                get_key(key_id), alternative.numa_policy, numa
            )
            is not None
        }
    )
    if not matched:
        condition, left = 'no_match', 0
    elif free < demand.count:
        condition, left = ('too_few' if free else 'all_held'), free
    elif near < demand.count:
        condition, left = 'numa', near
    else:
        condition, left = 'shared', near
    return objects.RefusalReason(
        host=host,
        request_id=demand.request_id,
        pci_flavor=alternative.name,
        condition=condition,
        needed=demand.count,
        left=left,
        detail='; '.join(
            _describe(get_key(total.key_id), total) for total in matched
        ),
    )


def _describe(key: objects.PoolKey, total: PoolTotal) -> str:
    node = '-' if key.numa_node is None else key.numa_node
    states = ', '.join(f'{n} {s}' for s, n in sorted(total.states.items()))
    return (
        f'{key.vendor_id}:{key.product_id} {key.dev_type} NUMA {node}: {states}'
    )
