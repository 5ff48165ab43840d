# SPDX-License-Identifier: Apache-2.0
"""Nova's host aggregates, as a restriction of PCI flavors to hosts. Pure."""

from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
from typing import Self

from pci_passthrough.claims import decision as decision_mod
from pci_passthrough.specs import aggregate_metadata

_NOTHING: aggregate_metadata.Values = {}


@dataclasses.dataclass(frozen=True, slots=True)
class HostAggregates:
    """The metadata of the aggregates that hosts are in.

    :ivar by_host: host to its values; other hosts are in no aggregate.
    :ivar unknown: why nobody knows; empty if it is known. No host then serves
        a PCI flavor with conditions.
    """

    by_host: Mapping[str, aggregate_metadata.Values]
    unknown: str = ''

    @classmethod
    def of(
        cls, aggregates: Iterable[tuple[Iterable[str], Mapping[str, str]]]
    ) -> Self:
        """Return the metadata by host.

        :param aggregates: hosts and metadata of each.
        """
        by_host: dict[str, list[Mapping[str, str]]] = {}
        for hosts, metadata in aggregates:
            for host in hosts:
                by_host.setdefault(host, []).append(metadata)
        return cls(
            {
                host: aggregate_metadata.values_of(several)
                for host, several in by_host.items()
            }
        )

    def outside(
        self, host: str, conditions: aggregate_metadata.Conditions
    ) -> str:
        """Return why a host is outside of the wanted aggregates.

        :returns: empty if it is inside.
        """
        if not conditions:
            return ''
        if self.unknown:
            return self.unknown
        values = self.by_host.get(host, _NOTHING)
        return aggregate_metadata.failing(conditions, values) or ''


def have_conditions(demands: Iterable[decision_mod.Demand]) -> bool:
    """Whether an alternative of a demand is restricted to aggregates."""
    return any(
        alternative.aggregates
        for demand in demands
        for alternative in demand.alternatives
    )


def on_host(
    demands: Iterable[decision_mod.Demand],
    host: str,
    aggregates: HostAggregates,
) -> tuple[decision_mod.Demand, ...]:
    """Return demands as a host can serve them.

    An alternative that is restricted to other hosts matches no device of this
    one, and says why.
    """
    return tuple(
        dataclasses.replace(
            demand,
            alternatives=tuple(
                _on_host(alternative, host, aggregates)
                for alternative in demand.alternatives
            ),
        )
        for demand in demands
    )


def reasons(
    demands: Sequence[decision_mod.Demand],
) -> tuple[str, ...]:
    """Return the reason of each alternative; equal ones decide alike."""
    return tuple(a.outside for d in demands for a in d.alternatives)


def _on_host(
    alternative: decision_mod.Alternative,
    host: str,
    aggregates: HostAggregates,
) -> decision_mod.Alternative:
    outside = aggregates.outside(host, alternative.aggregates)
    if not outside:
        return alternative
    return dataclasses.replace(
        alternative, key_ids=frozenset(), outside=outside
    )
