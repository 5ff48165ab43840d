# SPDX-License-Identifier: Apache-2.0
"""Availability of PCI flavors: free devices and requests, by host."""

from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import types
from typing import Self
from typing import TypeVar

import sqlalchemy as sa

from pci_passthrough import claims
from pci_passthrough import objects
from pci_passthrough.objects import fields
from pci_passthrough.specs import aggregate_metadata
from pci_passthrough.specs import pci_information
from pci_passthrough.store import database
from pci_passthrough.store import live_hosts
from pci_passthrough.store import policy
from pci_passthrough.store import pool_catalog
from pci_passthrough.store.pools import counting

#: What devices of a host are counted by: a pool key's id, or a state.
_K = TypeVar('_K', int, str)


@dataclasses.dataclass(frozen=True, slots=True)
class Resource:
    """What devices are, in the operator's words for users.

    The words are those of an entry of pci_information; None if it has none.
    """

    resource_type: str
    type: str | None
    description: str | None
    information: str | None

    @classmethod
    def of(cls, key: objects.PoolKey) -> Self:
        """Return what the devices of a pool are."""
        tags = dict(key.extra_info)
        return cls(key.resource_type, *map(tags.get, pci_information.WORDS))


@dataclasses.dataclass(frozen=True, slots=True)
class HostAvailability:
    """One host's devices of a PCI flavor.

    :ivar free: devices that can be claimed now, at most. Either a physical
        function or its virtual functions are counted, not both.
    :ivar total: devices that the PCI flavor matches, whatever their state.
    :ivar requests: how many requests could be served one after the other.
    :ivar states: the number of matching devices in each state, also of those
        that their host refuses; only if it was asked for.
    """

    host: str
    free: int
    total: int
    requests: int
    states: Mapping[str, int] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class Availability:
    """All devices of a PCI flavor, or those of one resource.

    :ivar count: devices of each request.
    :ivar hosts: the hosts that have a matching device, sorted by name.
    :ivar resources: what the devices are, each with its share; only if it was
        asked for.
    """

    pci_flavor_uuid: str
    count: int
    hosts: tuple[HostAvailability, ...]
    resources: 'Mapping[Resource, Availability]' = dataclasses.field(
        default_factory=dict
    )

    @property
    def free(self) -> int:
        """Devices that can be claimed now, on all hosts."""
        return sum(host.free for host in self.hosts)

    @property
    def total(self) -> int:
        """Devices that the PCI flavor matches, on all hosts."""
        return sum(host.total for host in self.hosts)

    @property
    def requests(self) -> int:
        """Requests that could be served, each by one host."""
        return sum(host.requests for host in self.hosts)


@database.retried
def get(
    db: database.Reader,
    limits: policy.Limits,
    flavors: Sequence[objects.PciFlavor],
    count: int = 1,
    *,
    by_resource: bool = False,
    by_state: bool = False,
    aggregates: claims.HostAggregates | None = None,
) -> list[Availability]:
    """Count the devices of PCI flavors, by a few queries for all of them.

    A PCI flavor may be disabled. Its NUMA policy excludes no device as long
    as the NUMA nodes of an instance are not known.

    :param limits: hosts that are down by these have no devices.
    :param count: devices of each request, at least one.
    :param by_resource: whether to count the devices of each resource, too.
    :param by_state: whether to count the devices of each state, too.
    :param aggregates: Nova's host aggregates; needed only if a PCI flavor is
        restricted to some. Devices of other hosts do not count.
    """
    catalog = db.catalog
    with db.snapshot() as connection:
        catalog.refresh(connection)
        keys = [catalog.of_flavor(flavor) for flavor in flavors]
        wanted = frozenset().union(*keys)
        live = live_hosts.find(connection, limits, None)
        supplies = {
            part: counting.supply_of(connection, catalog, key_ids, live)
            for part, key_ids in _parts(catalog, keys).items()
        }
        totals: dict[str, dict[int, int]] = {}
        if wanted:
            rows = live.rows(connection, counting.totals(wanted))
            for node_id, key_id, total in rows:
                totals.setdefault(live.names[node_id], {})[key_id] = total
        states = [
            _states(connection, live, key_ids) if by_state else {}
            for key_ids in keys
        ]
    answers = []
    for flavor, key_ids, counts in zip(flavors, keys, states, strict=True):
        supply = supplies[_part(catalog, key_ids)]
        inside = _inside(totals, flavor, aggregates)
        resources = {
            resource: Availability(
                flavor.uuid, count, _of_hosts(supply, inside, ids, count)
            )
            for resource, ids in _resources(catalog, key_ids).items()
            if by_resource
        }
        hosts = _of_hosts(
            supply, inside, key_ids, count, _inside(counts, flavor, aggregates)
        )
        answers.append(Availability(flavor.uuid, count, hosts, resources))
    return answers


def _states(
    connection: sa.Connection,
    live: live_hosts.LiveHosts,
    key_ids: Collection[int],
) -> dict[str, dict[str, int]]:
    """Count the devices of pool keys by host and state."""
    counts: dict[str, dict[str, int]] = {}
    if key_ids:
        statement = counting.states(key_ids)
        for node_id, state, number in live.rows(connection, statement):
            counts.setdefault(live.names[node_id], {})[state] = number
    return counts


def _inside(
    by_host: Mapping[str, Mapping[_K, int]],
    flavor: objects.PciFlavor,
    aggregates: claims.HostAggregates | None,
) -> Mapping[str, Mapping[_K, int]]:
    """Return the counts of hosts that a PCI flavor is not kept away from."""
    conditions = aggregate_metadata.parse(flavor.aggregate_metadata)
    if aggregates is None or not conditions:
        return by_host
    return {
        host: counts
        for host, counts in by_host.items()
        if not aggregates.outside(host, conditions)
    }


def _resources(
    catalog: pool_catalog.Catalog, key_ids: Iterable[int]
) -> dict[Resource, frozenset[int]]:
    """Group pool keys by what their devices are."""
    groups: dict[Resource, set[int]] = {}
    for key_id in sorted(key_ids):
        resource = Resource.of(catalog[key_id])
        groups.setdefault(resource, set()).add(key_id)
    return {resource: frozenset(ids) for resource, ids in groups.items()}


def _parts(
    catalog: pool_catalog.Catalog, keys: Iterable[frozenset[int]]
) -> dict[frozenset[str], frozenset[int]]:
    """Group pool keys that are counted by one query.

    Physical functions of one PCI flavor and virtual functions of another are
    counted separately. One query for both would have to read the devices, to
    know which functions belong together, and only a PCI flavor that matches
    both needs that.
    """
    parts: dict[frozenset[str], frozenset[int]] = {}
    for key_ids in keys:
        part = _part(catalog, key_ids)
        parts[part] = parts.get(part, frozenset()) | key_ids
    return parts


def _part(
    catalog: pool_catalog.Catalog, key_ids: frozenset[int]
) -> frozenset[str]:
    types = {catalog[key_id].dev_type or '' for key_id in key_ids}
    return frozenset(types - {fields.DevType.STANDARD})


def _of_hosts(
    supplies: Mapping[str, claims.Supply],
    totals: Mapping[str, Mapping[int, int]],
    key_ids: frozenset[int],
    count: int,
    states: Mapping[str, Mapping[str, int]] = types.MappingProxyType({}),
) -> tuple[HostAvailability, ...]:
    available = []
    for host in sorted({*totals, *states}):
        by_key = totals.get(host, {})
        total = sum(n for key_id, n in by_key.items() if key_id in key_ids)
        if total or host in states:
            supply = supplies.get(host, claims.NO_SUPPLY)
            available.append(
                HostAvailability(
                    host,
                    supply.total(key_ids),
                    total,
                    supply.requests(key_ids, count),
                    states.get(host, {}),
                )
            )
    return tuple(available)
