# SPDX-License-Identifier: Apache-2.0
"""Explains why a host cannot serve requests: conditions and numbers."""

import collections
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
from typing import Final
from typing import Self

from pci_passthrough import objects
from pci_passthrough.claims import decision as decision_mod
from pci_passthrough.claims import quota as quota_mod
from pci_passthrough.claims import supply as supply_mod
from pci_passthrough.objects import fields

_C = fields.RefusalCondition

#: What follows the name of a PCI flavor in a reason about a NIC.
ON_NETWORK: Final = " on the NIC's network"

#: Conditions of a host, whatever the PCI flavor.
_OF_HOST = (_C.HOST_DOWN, _C.HOST_UNKNOWN, _C.TRACKER_DOWN)

#: The state of a device that its host refuses.
_REFUSED = 'refused'


@dataclasses.dataclass(frozen=True, slots=True)
class PoolTotal:
    """The devices of one pool key on a host, in all states.

    :ivar states: state to number of devices.
    :ivar notes: state to what is known of some devices in it, for example
        their progress.
    """

    key_id: int
    states: Mapping[str, int]
    notes: Mapping[str, Sequence[str]] = dataclasses.field(
        default_factory=dict
    )

    @property
    def count(self) -> int:
        """The number of devices in all states."""
        return sum(self.states.values())


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class FailedCondition:
    """A condition that failed on some hosts.

    :ivar text: the condition in words, for example ``no free bigGPU``.
    :ivar condition: one of ``objects.fields.RefusalCondition``, its
        ``OTHER`` or ``ELSEWHERE``.
    :ivar pci_flavor: the name of the PCI flavor that it is about; empty if
        it is about the host.
    """

    text: str
    condition: str
    pci_flavor: str = ''

    @classmethod
    def of(cls, reason: objects.RefusalReason) -> Self:
        """Return the condition that a reason is about, without the host."""
        condition = str(reason.condition)
        name = str(reason.pci_flavor).removesuffix(ON_NETWORK)
        return cls(
            in_words(reason), condition, '' if condition in _OF_HOST else name
        )


def explain(
    host: str,
    demands: Sequence[decision_mod.Demand],
    supply: supply_mod.Supply,
    totals: Iterable[PoolTotal],
    get_key: decision_mod.GetKey,
    numa: objects.NumaAffinity | None = None,
) -> list[objects.RefusalReason]:
    """Return, for each demand and alternative, the condition that failed.

    The reasons are about the demands that cannot be served even alone. If
    each demand can be served alone, they are about a smallest set of demands
    that cannot be served together, with the condition ``shared``.

    :param host: the host's name.
    :param demands: demands for which ``decide`` returned None.
    :param supply: the host's free devices.
    :param totals: all devices of the host.
    :param get_key: returns the pool key of an id.
    :param numa: as in ``decide``.
    """
    by_key = {total.key_id: total for total in totals}
    guilty = [
        demand
        for demand in demands
        if decision_mod.decide(supply, [demand], get_key, numa) is None
    ]
    return [
        _first_failure(
            host, demand, alternative, supply, by_key, get_key, numa
        )
        for demand in guilty or _rivals(demands, supply, get_key, numa)
        for alternative in demand.alternatives
    ]


def explain_quotas(
    host: str,
    demands: Iterable[decision_mod.Demand],
    quotas: Mapping[str, quota_mod.Quota],
) -> list[objects.RefusalReason]:
    """Return the PCI flavors of which the limits of the project leave too few.

    :param demands: demands that the limits have no room for.
    :param quotas: by UUID of a PCI flavor.
    """
    demands = list(demands)
    wanted = [
        (demand.count, [a.pci_flavor_uuid for a in demand.alternatives])
        for demand in demands
    ]
    known = {
        alternative.pci_flavor_uuid: (demand, alternative)
        for demand in demands
        for alternative in demand.alternatives
    }
    reasons = []
    for excess in quota_mod.excesses(wanted, quotas):
        demand, alternative = known[excess.pci_flavor_uuid]
        reasons.append(
            objects.RefusalReason(
                host=host,
                request_id=demand.request_id,
                pci_flavor=alternative.name.removesuffix(ON_NETWORK),
                condition=_C.QUOTA_EXCEEDED,
                needed=excess.wanted,
                left=max(excess.quota.room, 0),
                detail=f'limit {excess.quota.limit}, used {excess.quota.used}',
            )
        )
    return reasons


def _rivals(
    demands: Sequence[decision_mod.Demand],
    supply: supply_mod.Supply,
    get_key: decision_mod.GetKey,
    numa: objects.NumaAffinity | None,
) -> list[decision_mod.Demand]:
    """Return the demands without those that do not cause the refusal."""
    rivals = list(demands)
    for demand in demands:
        others = [rival for rival in rivals if rival is not demand]
        if decision_mod.decide(supply, others, get_key, numa) is None:
            rivals = others
    return rivals


def summarize(reasons: Iterable[objects.RefusalReason]) -> str:
    """Return one line such as ``3 hosts: no free bigGPU``."""
    hosts: dict[FailedCondition, set[str]] = collections.defaultdict(set)
    for reason in reasons:
        hosts[FailedCondition.of(reason)].add(str(reason.host))
    return summarize_hosts(hosts)


def summarize_hosts(
    hosts: Mapping[FailedCondition, Collection[str]],
) -> str:
    """Return the line of ``summarize`` for hosts by failed condition."""
    by_text: dict[str, set[str]] = collections.defaultdict(set)
    for failed, names in hosts.items():
        by_text[failed.text].update(names)
    return '; '.join(
        f'{len(names)} host{"s" if len(names) > 1 else ""}: {text}'
        for text, names in sorted(
            by_text.items(), key=lambda item: (-len(item[1]), item[0])
        )
    )


def in_words(reason: objects.RefusalReason) -> str:
    """Return a reason in words, without the host's name."""
    name = reason.pci_flavor
    return {
        _C.NO_MATCH: f'no device matches {name}',
        _C.AGGREGATE: f'outside of the host aggregates for {name}',
        _C.ALL_HELD: f'no free {name}',
        _C.NONE_FREE: f'no free {name}',
        _C.REFUSED: f'the host refuses every {name}',
        _C.TOO_FEW: f'{reason.left} free {name}, {reason.needed} needed',
        _C.NUMA: f'{reason.left} {name} near the instance (NUMA), '
        f'{reason.needed} needed',
        _C.SHARED: f'{name} is needed for other requests of the instance',
        _C.QUOTA_EXCEEDED: f'the limit of the project leaves {reason.left} '
        f'{name}, {reason.needed} needed',
        _C.HOST_DOWN: 'has not reported for too long',
        _C.HOST_UNKNOWN: 'has never reported: no pci-passthrough-agent',
        _C.TRACKER_DOWN: 'its nova-compute has not registered lately, '
        'or never',
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
            total.key_id
            for total in matched
            if decision_mod.numa_penalty(
                get_key(total.key_id), alternative.numa_policy, numa
            )
            is not None
        }
    )
    if alternative.outside:
        condition, left = _C.AGGREGATE, 0
    elif not matched:
        condition, left = _C.NO_MATCH, 0
    elif all(total.states.keys() == {_REFUSED} for total in matched):
        condition, left = _C.REFUSED, 0
    elif free < demand.count:
        condition, left = (_C.TOO_FEW if free else _C.ALL_HELD), free
    elif near < demand.count:
        condition, left = _C.NUMA, near
    else:
        condition, left = _C.SHARED, near
    return objects.RefusalReason(
        host=host,
        request_id=demand.request_id,
        pci_flavor=alternative.name,
        condition=condition,
        needed=demand.count,
        left=left,
        detail=alternative.outside
        or '; '.join(
            _describe(get_key(total.key_id), total) for total in matched
        ),
    )


def pool_in_words(key: objects.PoolKey) -> str:
    """Return a pool in words, such as ``10de:2330 type-PCI NUMA 0``."""
    node = '-' if key.numa_node is None else key.numa_node
    ids = [f'{key.vendor_id}:{key.product_id}'] if key.vendor_id else []
    kind = key.dev_type or key.resource_type
    return ' '.join([*ids, kind, f'NUMA {node}'])


def _describe(key: objects.PoolKey, total: PoolTotal) -> str:
    states = []
    for state, count in sorted(total.states.items()):
        notes = list(total.notes.get(state, ()))
        if notes and len(notes) < count:
            notes.append('\N{HORIZONTAL ELLIPSIS}')
        states.append(
            f'{count} {state}' + (f' ({"; ".join(notes)})' if notes else '')
        )
    return f'{pool_in_words(key)}: {", ".join(states)}'
