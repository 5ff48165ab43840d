# SPDX-License-Identifier: Apache-2.0
"""Assigns the devices of pools to needs: a minimum-cost flow.

Several requests of one instance may be able to use the same pools. Serving
one request after the other can then fail although all could be served, or
promise a device twice. An assignment serves all of them if that is possible.

The algorithm is successive shortest paths: each need is routed by the
cheapest path, which may move another need from a pool to another pool. Needs
and pools of one host are few, so Bellman-Ford on dictionaries is fast enough
(tens of microseconds).
"""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses

#: A pool: the pool key id, and whether its devices are VFs of a physical
#: function that could still be given away as a whole.
Pool = tuple[int, bool]

#: (number of devices, pool to cost of a device from there)
Need = tuple[int, Mapping[Pool, int]]


@dataclasses.dataclass(frozen=True, slots=True)
class Requirement:
    """A number of devices that some pool keys must have together."""

    key_ids: frozenset[int]
    count: int


def assign(
    needs: Sequence[Need], capacity: Mapping[Pool, int]
) -> list[dict[Pool, int]] | Requirement:
    """Serve all needs from the pools at the least total cost.

    :param needs: a pool that is missing in the costs of a need cannot serve
        it.
    :param capacity: pool to number of free devices.
    :returns: for each need, pool to number of devices. If the needs cannot be
        served together, a requirement that the capacity does not fulfil and
        that must be fulfilled to serve them (it exists by Hall's theorem).
    """
    spare = dict(capacity)
    given: list[dict[Pool, int]] = [{} for _ in needs]
    for index, (count, _) in enumerate(needs):
        left = count
        while left:
            distance, previous = _cheapest_paths(index, needs, given)
            ends = [pool for pool in distance if spare.get(pool, 0) > 0]
            if not ends:
                return _shortage(index, distance, needs, given)
            end = min(ends, key=lambda pool: (distance[pool], pool))
            left -= _route(end, left, previous, given, spare)
    return [{p: n for p, n in pools.items() if n} for pools in given]


def _route(
    end: Pool,
    left: int,
    previous: Mapping[Pool, tuple[int, Pool | None]],
    given: Sequence[dict[Pool, int]],
    spare: dict[Pool, int],
) -> int:
    """Move devices along a path; return the number of moved devices.

    A path stays the cheapest until one of its steps is exhausted.
    """
    steps: list[tuple[int, Pool | None, Pool]] = []
    amount = min(left, spare[end])
    at: Pool | None = end
    while at is not None:
        mover, origin = previous[at]
        steps.append((mover, origin, at))
        if origin is not None:
            amount = min(amount, given[mover][origin])
        at = origin
    for mover, origin, target in steps:
        given[mover][target] = given[mover].get(target, 0) + amount
        if origin is not None:
            given[mover][origin] -= amount
    spare[end] -= amount
    return amount


def _cheapest_paths(
    index: int, needs: Sequence[Need], given: Sequence[Mapping[Pool, int]]
) -> tuple[dict[Pool, int], dict[Pool, tuple[int, Pool | None]]]:
    """Return the distance and the last step of each reachable pool.

    A step ``(mover, pool)`` means that the need ``mover`` would leave
    ``pool``. A path starts with None as the pool.
    """
    distance = dict(needs[index][1])
    previous: dict[Pool, tuple[int, Pool | None]] = dict.fromkeys(
        distance, (index, None)
    )
    movable = [
        (mover, needs[mover][1], origin)
        for mover, pools in enumerate(given)
        for origin, count in pools.items()
        if count and mover != index
    ]
    changed = bool(movable)
    while changed:
        changed = False
        for mover, costs, origin in movable:
            if origin not in distance:
                continue
            left_at = distance[origin] - costs[origin]
            for target, cost in costs.items():
                longer = left_at + cost
                if target not in distance or longer < distance[target]:
                    distance[target] = longer
                    previous[target] = (mover, origin)
                    changed = True
    return distance, previous


def _shortage(
    index: int,
    reachable: Mapping[Pool, int],
    needs: Sequence[Need],
    given: Sequence[Mapping[Pool, int]],
) -> Requirement:
    """Return the requirement of a need and of all needs that use its pools."""
    rivals = {
        mover
        for mover, pools in enumerate(given)
        for pool, count in pools.items()
        if count and pool in reachable
    }
    return Requirement(
        frozenset(key_id for key_id, _ in reachable),
        sum(needs[need][0] for need in rivals | {index}),
    )
