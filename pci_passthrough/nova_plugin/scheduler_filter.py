# SPDX-License-Identifier: Apache-2.0
"""A filter of nova-scheduler: hosts that can serve requests for PCI flavors.

It comes before NUMATopologyFilter and PciPassthroughFilter, which read the
hosts' ``pci_stats`` after this filter has replaced them. ``scheduler_lists``
inserts it there.
"""

from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import functools
import itertools
from typing import Any

from oslo_log import log as logging

from pci_passthrough import claims
from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.claims import project_words
from pci_passthrough.nova_plugin import client
from pci_passthrough.nova_plugin import cloud_facts
from pci_passthrough.nova_plugin import elsewhere
from pci_passthrough.nova_plugin import flavor_requests
from pci_passthrough.nova_plugin import request_specs
from pci_passthrough.nova_plugin import requests
from pci_passthrough.nova_plugin import scheduler_calls
from pci_passthrough.nova_plugin import stats
from pci_passthrough.nova_plugin.compat import scheduler
from pci_passthrough.nova_plugin.compat import scheduling as nova_scheduling
from pci_passthrough.nova_plugin.install import bootstrap
from pci_passthrough.objects import fields

LOG = logging.getLogger(__name__)

#: Number of choices of a host's NUMA nodes that are tried for an instance. A
#: host with more choices passes untested: NUMATopologyFilter tries all.
_MAX_CHOICES = 256


@dataclasses.dataclass(eq=False)
class _Scheduling:
    """One call of the scheduler, which may be for several instances.

    :ivar spec: Nova's ``RequestSpec``.
    :ivar wanted: its requests for PCI flavors.
    :ivar candidates: all hosts that Nova has let the filter look at.
    :ivar decided: UUIDs of instances whose hosts were decided already. What
        follows is a search for alternates.
    :ivar affinities: NUMA nodes and sockets of a host, to the NUMA
        affinities that an instance could have on it.
    """

    spec: Any
    wanted: list[Any]
    candidates: set[str] = dataclasses.field(default_factory=set)
    decided: set[str] = dataclasses.field(default_factory=set)
    affinities: dict[Any, Sequence[objects.NumaAffinity | None]] = (
        dataclasses.field(default_factory=dict)
    )


class ScheduledStats(stats.PciFlavorStats):
    """The pools of a host during one call of the scheduler.

    :ivar scheduling: the call.
    :ivar decision: the devices for the next instance; for the weigher.
    """

    scheduling: _Scheduling
    decision: claims.Decision | None = None


class PciFlavorFilter(scheduler.BaseHostFilter):
    """Passes the hosts that can serve all requests for PCI flavors."""

    #: Nova calls it once; for a multi-create once for each instance, and once
    #: more for alternates, each time with the remaining devices.
    RUN_ON_REBUILD = False
    run_filter_once_per_request = False

    def __init__(self) -> None:
        bootstrap.install()
        self._free = cloud_facts.free_by_numa_node()
        self._elsewhere = elsewhere.Search()

    def filter_all(
        self, filter_obj_list: Iterable[Any], spec_obj: Any
    ) -> list[Any]:
        """Return the hosts that can serve an instance.

        :param filter_obj_list: Nova's ``HostState`` objects.
        :param spec_obj: Nova's ``RequestSpec``.
        """
        hosts = list(filter_obj_list)
        if not hosts or nova_scheduling.request_is_rebuild(spec_obj):
            return hosts
        pci_requests = spec_obj.pci_requests
        wanted = requests.for_pci_flavors(
            pci_requests.requests if pci_requests else ()
        )
        if not wanted and requests.lack_pci_flavors(
            spec_obj.flavor, pci_requests
        ):
            try:
                wanted = _missing(spec_obj)
            except exception.PciPassthroughError as error:
                refuse_all(hosts, _Scheduling(spec_obj, []), error.text)
                return []
        if wanted:
            return self._serving(hosts, _Scheduling(spec_obj, wanted))
        if _leaves_devices_to_others(spec_obj):
            options = bootstrap.nova_conf().pci_passthrough
            free = self._free.get(options.hosts_with_devices_interval)
            _count_by_numa_node(hosts, free)
        return hosts

    def _serving(self, hosts: list[Any], scheduling: _Scheduling) -> list[Any]:
        loaded, fresh = _split(hosts, scheduling.spec)
        if loaded:
            scheduling = loaded[0].pci_stats.scheduling
        scheduling.candidates.update(host.host for host in hosts)
        if fresh:
            try:
                _load(fresh, scheduling)
            except exception.PciPassthroughError as error:
                refuse_all(hosts, scheduling, error.text)
                return []
        passed = []
        refused: dict[claims.FailedCondition, list[str]] = {}
        for host in hosts:
            conditions = _decide(host, scheduling)
            if not conditions:
                passed.append(host)
            for failed in conditions:
                refused.setdefault(failed, []).append(host.host)
        instance_uuid = scheduling.spec.instance_uuid
        if instance_uuid not in scheduling.decided:
            scheduling.decided.add(instance_uuid)
            if not passed:
                refused |= self._elsewhere.find(
                    scheduling.spec,
                    scheduling.candidates,
                    functools.partial(_offer, scheduling, None),
                )
            _record_refusals(scheduling, refused, len(passed))
        return passed


def _missing(spec: Any) -> list[Any]:
    """Add the requests to a spec that a process without the plugin has made.

    :raises Invalid: the spec is for a new server, which would start without
        its devices. An instance that exists has to find a host.
    :raises: PciPassthroughError
    """
    if not _is_for_existing(spec):
        raise exception.Invalid(
            'the flavor asks for PCI flavors and the request does not: '
            'a nova-api without pci_passthrough has made it'
        )
    wanted = flavor_requests.make_for_existing(spec.flavor, spec.image)
    spec.pci_requests = request_specs.replaced(
        spec, spec.instance_uuid, wanted
    )
    return wanted


def _is_for_existing(spec: Any) -> bool:
    """Whether a spec is for an instance that exists already.

    Nova keeps it in its cell; a new server may get to any cell.
    """
    destination = (
        spec.requested_destination if 'requested_destination' in spec else None
    )
    return bool(destination and 'cell' in destination and destination.cell)


def _leaves_devices_to_others(spec: Any) -> bool:
    """Whether it matters for a call that NUMA nodes with devices are avoided.

    For one instance it does not: it fits on a host or not, and nova-compute
    chooses the nodes. But what the first instance of a multi-create leaves
    for the next ones depends on its nodes.

    :param spec: Nova's ``RequestSpec``, without requests for PCI flavors.
    """
    return bool(
        spec.numa_topology
        and spec.num_instances > 1
        and not (spec.pci_requests and spec.pci_requests.requests)
    )


def _count_by_numa_node(
    hosts: Sequence[Any], free: Mapping[str, Mapping[int, int]]
) -> None:
    """Count the free devices among the pools of hosts, for NUMA fitting.

    :param free: host to NUMA node to number of free devices.
    """
    for host in hosts:
        native = host.pci_stats
        if (
            host.host not in free
            or native is None
            or isinstance(native, stats.PciFlavorStats)
        ):
            continue
        pools = [
            {'numa_node': node, 'count': count}
            for node, count in free[host.host].items()
        ]
        host.pci_stats = stats.PciFlavorStats(
            native, stats.nothing, free_pools=pools.copy
        )


def _split(hosts: list[Any], spec: Any) -> tuple[list[Any], list[Any]]:
    """Return the hosts whose supply is loaded already, and the others.

    Earlier instances of a multi-create have consumed from loaded supplies.
    Nova makes new host states for each call of the scheduler.
    """
    loaded: list[Any] = []
    fresh: list[Any] = []
    for host in hosts:
        pools = host.pci_stats
        is_loaded = (
            isinstance(pools, ScheduledStats) and pools.scheduling.spec is spec
        )
        (loaded if is_loaded else fresh).append(host)
    return loaded, fresh


def _load(hosts: list[Any], scheduling: _Scheduling) -> None:
    """Get the supplies of all hosts with one call to the conductor."""
    snapshot = _offer(scheduling, {host.host for host in hosts})
    if claims.have_conditions(snapshot.demands):
        snapshot = dataclasses.replace(
            snapshot, aggregates=_aggregates_of(hosts)
        )
    for host in hosts:
        native = host.pci_stats
        if native is None:
            continue
        host.pci_stats = ScheduledStats.with_supply(
            native, stats.HostSupply(host.host, snapshot)
        )
        host.pci_stats.scheduling = scheduling


def _aggregates_of(hosts: Iterable[Any]) -> claims.HostAggregates:
    """Return the host aggregates that Nova's host states have."""
    return claims.HostAggregates.of(
        ([host.host], aggregate.metadata)
        for host in hosts
        for aggregate in host.aggregates
    )


def _offer(
    scheduling: _Scheduling, hosts: set[str] | None
) -> claims.SupplySnapshot:
    """Ask a conductor for the free devices of hosts; None means of all."""
    spec = scheduling.spec
    policy = requests.policy_of_image(spec.image)
    return client.conductor().offer(
        [
            requests.to_pci_request(request, policy)
            for request in scheduling.wanted
        ],
        hosts,
        instance_uuid=spec.instance_uuid,
    )


def _decide(
    host: Any, scheduling: _Scheduling
) -> list[claims.FailedCondition]:
    """Decide which devices of a host would serve the next instance.

    :returns: the conditions that failed; none if the host can serve it.
    """
    pools = host.pci_stats
    if pools is None:
        return [_other('nova-compute has not reported yet')]
    supply = pools.supply
    affinity: objects.NumaAffinity | None = None
    pools.decision = supply.decide(affinity)
    if pools.decision is not None:
        for affinity in _affinities(host, scheduling):
            pools.decision = supply.decide(affinity)
            if pools.decision is not None:
                return []
    return list(supply.snapshot.refused([host.host], affinity))


def _affinities(
    host: Any, scheduling: _Scheduling
) -> Sequence[objects.NumaAffinity | None]:
    """Return the NUMA affinities that an instance could have on a host.

    NUMATopologyFilter decides whether CPUs and memory fit. Here it is enough
    to know whether the devices could be near.
    """
    instance = scheduling.spec.numa_topology
    if not (instance and host.numa_topology):
        return [None]
    cells = host.numa_topology.cells
    # Many hosts have the same topology, and reading Nova's objects is slow.
    topology = tuple((cell.id, stats.socket_of(cell)) for cell in cells)
    if topology not in scheduling.affinities:
        choices = itertools.combinations(cells, len(instance.cells))
        tried = list(itertools.islice(choices, _MAX_CHOICES + 1))
        scheduling.affinities[topology] = (
            [stats.affinity(choice, host.numa_topology) for choice in tried]
            if len(tried) <= _MAX_CHOICES
            else [None]
        )
    return scheduling.affinities[topology]


def refuse_all(
    hosts: Sequence[Any], scheduling: _Scheduling, reason: str
) -> None:
    """Record one reason why no host can serve an instance."""
    _record_refusals(
        scheduling, {_other(reason): [host.host for host in hosts]}, 0
    )


def _other(reason: str) -> claims.FailedCondition:
    """Return a reason that is no condition of the requested devices."""
    return claims.FailedCondition(reason, fields.RefusalCondition.OTHER)


def _record_refusals(
    scheduling: _Scheduling,
    refused: dict[claims.FailedCondition, list[str]],
    passed: int,
) -> None:
    """Log why hosts cannot serve an instance; let the conductor record it.

    :param refused: failed condition to hosts.
    :param passed: how many hosts can serve it.
    """
    if not refused:
        return
    if not passed and bootstrap.nova_conf().pci_passthrough.reason_in_fault:
        scheduler_calls.current().reason = project_words.sentence(refused)
    spec = scheduling.spec
    summary = claims.summarize_hosts(refused)
    wanted = requests.describe(scheduling.wanted)
    LOG.info(
        'PCI flavors %(wanted)s for instance %(uuid)s: %(summary)s',
        {'wanted': wanted, 'uuid': spec.instance_uuid, 'summary': summary},
    )
    try:
        client.conductor().note_refusals(
            spec.instance_uuid,
            summary,
            refused,
            wanted,
            spec.project_id if 'project_id' in spec else None,
            passed,
        )
    except exception.PciPassthroughError as error:
        LOG.error("Could not record the scheduler's refusals: %s", error.text)
