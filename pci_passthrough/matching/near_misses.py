# SPDX-License-Identifier: Apache-2.0
"""What a pool lacks to be matched: so that people see what they mistyped."""

import dataclasses

from pci_passthrough import objects
from pci_passthrough.specs import pci_flavor as pci_flavor_spec


@dataclasses.dataclass(frozen=True, slots=True)
class Miss:
    """The one condition of a term that a pool key does not fulfil.

    :ivar key: the match key, for example ``e.group``.
    :ivar wanted: what its value would have to be, as JSON.
    :ivar found: its value; None: it has none.
    :ivar fulfilled: how many other conditions the term has.
    """

    key: str
    wanted: str
    found: str | None
    fulfilled: int


def near_misses(
    expression: pci_flavor_spec.MatchExpression, pool_key: objects.PoolKey
) -> tuple[Miss, ...]:
    """Return the terms that fail by exactly one condition, nearest first.

    :returns: nothing if the expression matches, or is far from it.
    """
    found = []
    for term in expression.terms:
        failed = [
            one for one in term if not one.accepts(one.value_of(pool_key))
        ]
        if not failed:
            return ()
        if len(failed) == 1:
            [one] = failed
            value = one.value_of(pool_key)
            found.append(Miss(one.key, one.text, value, len(term) - 1))
    return tuple(sorted(dict.fromkeys(found), key=_distance))


def _distance(miss: Miss) -> tuple[int, bool, str, str]:
    # A value that is there was more probably mistyped.
    return (-miss.fulfilled, miss.found is None, miss.key, miss.wanted)
