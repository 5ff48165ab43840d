# SPDX-License-Identifier: Apache-2.0
"""The assignment of needs to pools: a minimum-cost flow.

Several requests of one instance may be able to use the same pools. Serving
them one after the other can fail although all could be served, and could
promise a device twice; an assignment finds the way if there is one.

Successive shortest paths: each need is routed by the cheapest path, which
may move devices that were given to another need onto another pool. Needs
and pools of one host are few, so Bellman-Ford on a dictionary is fast enough
(tens of microseconds).
"""

from collections.abc import Mapping
from collections.abc import Sequence

#: (number of devices, pool key id to cost of a device from there)
Need = tuple[int, Mapping[int, int]]


def assign(
    needs: Sequence[Need], capacity: Mapping[int, int]
) -> list[dict[int, int]] | None:
    """Serve all needs from the pools at the least total cost.

    :param needs: what is wanted; a pool that is not in a need's costs does
        not serve it.
    :param capacity: pool key id to number of free devices.
    :returns: for each need, pool key id to number of devices; None if not
        all needs can be served together.
    """
    spare = dict(capacity)
    given: list[dict[int, int]] = [{} for _ in needs]
    for index, (count, _) in enumerate(needs):
        left = count
        while left:
            served = _route(index, left, needs, given, spare)
            if not served:
                return None
            left -= served
    return [{k: n for k, n in pools.items() if n} for pools in given]


def _route(
    index: int,
    left: int,
    needs: Sequence[Need],
    given: list[dict[int, int]],
    spare: dict[int, int],
) -> int:
    """Serve one or more devices of a need; return how many."""
    distance, previous = _cheapest_paths(index, needs, given)
    ends = [key_id for key_id in distance if spare.get(key_id, 0) > 0]
    if not ends:
        return 0
    end = min(ends, key=lambda key_id: (distance[key_id], key_id))
    if previous[end] == (index, None):
        # A direct way stays the cheapest until the pool is empty.
        served = min(left, spare[end])
        given[index][end] = given[index].get(end, 0) + served
        spare[end] -= served
        return served
    spare[end] -= 1
    at: int | None = end
    while at is not None:
        mover, came_from = previous[at]
        given[mover][at] = given[mover].get(at, 0) + 1
        if came_from is not None:
            given[mover][came_from] -= 1
        at = came_from
    return 1


def _cheapest_paths(
    index: int, needs: Sequence[Need], given: Sequence[Mapping[int, int]]
) -> tuple[dict[int, int], dict[int, tuple[int, int | None]]]:
    """Return for each reachable pool its distance and how it is reached.

    A step ``(mover, pool)`` means that the need ``mover`` would leave
    ``pool``; None as the pool is the start.
    """
    distance = dict(needs[index][1])
    previous: dict[int, tuple[int, int | None]] = {
        key_id: (index, None) for key_id in distance
    }
    changed = True
    while changed:
        changed = False
        for mover, pools in enumerate(given):
            costs = needs[mover][1]
            for origin, count in pools.items():
                if not count or origin not in distance:
                    continue
                for target, cost in costs.items():
                    longer = distance[origin] + cost - costs[origin]
                    if longer < distance.get(target, longer + 1):
                        distance[target] = longer
                        previous[target] = (mover, origin)
                        changed = True
    return distance, previous
