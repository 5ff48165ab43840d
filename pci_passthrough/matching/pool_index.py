# SPDX-License-Identifier: Apache-2.0
"""Matches pool keys with match expressions, by bitsets.

A cloud has few distinct pool keys (hundreds) and few distinct values of each
property (tens), while evaluating an operator expression is slow. Therefore a
condition is evaluated once for each distinct value. Each pool key is one bit
of an integer, so that AND and OR of conditions are AND and OR of integers.
"""

from collections.abc import Mapping

from pci_passthrough import objects
from pci_passthrough.specs import condition as condition_spec
from pci_passthrough.specs import match_key
from pci_passthrough.specs import pci_flavor as pci_flavor_spec


class PoolIndex:
    """An index of all pool keys known to this process, for fast matching.

    Pool keys are only added, because they are immutable in the database. Not
    thread-safe: callers that share an index between threads must lock it.
    """

    def __init__(self) -> None:
        self._keys: dict[int, objects.PoolKey] = {}
        self._ids: list[int] = []
        self._bits: dict[str, dict[str, int]] = {}
        self._by_condition: dict[condition_spec.Condition, int] = {}
        self._by_expression: dict[
            pci_flavor_spec.MatchExpression, frozenset[int]
        ] = {}

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, key_id: int) -> objects.PoolKey:
        return self._keys[key_id]

    def __contains__(self, key_id: object) -> bool:
        return key_id in self._keys

    def add(self, keys: Mapping[int, objects.PoolKey]) -> None:
        """Add pool keys by their ids; known ids are ignored."""
        new = {i: key for i, key in keys.items() if i not in self._keys}
        for key_id, key in new.items():
            bit = 1 << len(self._ids)
            self._ids.append(key_id)
            self._keys[key_id] = key
            for name, value in _properties(key):
                by_value = self._bits.setdefault(name, {})
                by_value[value] = by_value.get(value, 0) | bit
        if new:
            self._by_condition.clear()
            self._by_expression.clear()

    def matching(
        self, expression: pci_flavor_spec.MatchExpression
    ) -> frozenset[int]:
        """Return the ids of all pool keys that an expression matches."""
        key_ids = self._by_expression.get(expression)
        if key_ids is None:
            key_ids = self._ids_of(self._evaluate(expression))
            self._by_expression[expression] = key_ids
        return key_ids

    def _evaluate(self, expression: pci_flavor_spec.MatchExpression) -> int:
        everything = (1 << len(self._ids)) - 1
        matched = 0
        for term in expression.terms:
            bits = everything
            for condition in term:
                bits &= self._condition_bits(condition)
            matched |= bits
        return matched

    def _condition_bits(self, condition: condition_spec.Condition) -> int:
        bits = self._by_condition.get(condition)
        if bits is None:
            name = match_key.FIELDS.get(condition.key, condition.key)
            by_value = self._bits.get(name, {})
            bits = 0
            for value in condition.accepted(by_value.keys()):
                bits |= by_value[value]
            self._by_condition[condition] = bits
        return bits

    def _ids_of(self, bits: int) -> frozenset[int]:
        key_ids = []
        while bits:
            lowest = bits & -bits
            key_ids.append(self._ids[lowest.bit_length() - 1])
            bits ^= lowest
        return frozenset(key_ids)


def _properties(key: objects.PoolKey) -> list[tuple[str, str]]:
    """Return a pool key's set properties, as (device field, value)."""
    properties = [
        (name, str(value))
        for name in objects.POOL_FIELDS
        if (value := getattr(key, name)) is not None
    ]
    return properties + [
        (f'e.{name}', value) for name, value in key.extra_info
    ]
