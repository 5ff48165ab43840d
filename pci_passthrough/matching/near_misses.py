# SPDX-License-Identifier: Apache-2.0
"""Finds near misses: terms that a pool key fails by one condition only.

They show users a mistyped value in a PCI flavor or in pci_information.
"""

import dataclasses

from pci_passthrough import objects
from pci_passthrough.specs import pci_flavor as pci_flavor_spec


@dataclasses.dataclass(frozen=True, slots=True)
class Miss:
    """The only condition of a term that a pool key does not fulfil.

    :ivar key: the match key, for example ``e.group``.
    :ivar wanted: the value that the condition requires, as JSON.
    :ivar actual: the pool key's value; None means that it has none.
    :ivar fulfilled: the number of the term's other conditions.
    """

    key: str
    wanted: str
    actual: str | None
    fulfilled: int


def near_misses(
    expression: pci_flavor_spec.MatchExpression, pool_key: objects.PoolKey
) -> tuple[Miss, ...]:
    """Return the terms that fail by exactly one condition, nearest first.

    :returns: an empty tuple if the expression matches, or if each term fails
        by more conditions.
    """
    misses = []
    for term in expression.terms:
        failed = [
            condition
            for condition in term
            if not condition.accepts(condition.value_of(pool_key))
        ]
        if not failed:
            return ()
        if len(failed) == 1:
            [condition] = failed
            misses.append(
                Miss(
                    condition.key,
                    condition.text,
                    condition.value_of(pool_key),
                    sum(
                        other not in (condition, pci_flavor_spec.IS_PCI)
                        for other in term
                    ),
                )
            )
    return tuple(sorted(dict.fromkeys(misses), key=_distance))


def _distance(miss: Miss) -> tuple[int, bool, str, str]:
    # A mistyped value is more probable than a missing one.
    return (-miss.fulfilled, miss.actual is None, miss.key, miss.wanted)
