# SPDX-License-Identifier: Apache-2.0
"""The scheduler's filter: hosts that can serve requests for PCI flavors.

``nova.conf``::

    [filter_scheduler]
    available_filters = nova.scheduler.filters.all_filters
    available_filters = pci_passthrough.nova_plugin.scheduler_filter.PciFlavorFilter
    enabled_filters = ...,PciFlavorFilter,NUMATopologyFilter,PciPassthroughFilter

It comes before NUMATopologyFilter and PciPassthroughFilter, which find in
the hosts' ``pci_stats`` what this filter has put there.
"""  # noqa: E501

from collections.abc import Iterable
from collections.abc import Sequence
import dataclasses
import itertools
from typing import Any

from oslo_log import log as logging

from pci_passthrough import claims
from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.nova_plugin import client
from pci_passthrough.nova_plugin import requests
from pci_passthrough.nova_plugin import stats
from pci_passthrough.nova_plugin.compat import scheduler
from pci_passthrough.nova_plugin.install import bootstrap

LOG = logging.getLogger(__name__)

#: How many choices of a host's NUMA nodes are tried for an instance. A host
#: with more passes as if one of them fitted: NUMATopologyFilter tries all.
_MOST_CHOICES = 256


@dataclasses.dataclass(eq=False)
class _Scheduling:
    """One request to the scheduler, which may be for several instances.

    :ivar spec: Nova's ``RequestSpec``.
    :ivar wanted: those of its requests that are ours.
    :ivar told: instances whose refusals were told already.
    :ivar places: NUMA nodes and sockets of a host, to where on such a host
        an instance could be.
    """

    spec: Any
    wanted: list[Any]
    told: set[str] = dataclasses.field(default_factory=set)
    places: dict[Any, Sequence[objects.NumaAffinity | None]] = (
        dataclasses.field(default_factory=dict)
    )


class ScheduledStats(stats.PciFlavorStats):
    """A host's pools for one request to the scheduler.

    :ivar scheduling: the request.
    :ivar decision: how the host would serve the next instance; for the
        weigher.
    """

    scheduling: _Scheduling
    decision: claims.Decision | None = None


class PciFlavorFilter(scheduler.BaseHostFilter):
    """Passes hosts that can serve all requests for PCI flavors."""

    #: Nova asks once, and for a multi-create once for each instance and once
    #: more for the alternates; each time with what is left.
    RUN_ON_REBUILD = False
    run_filter_once_per_request = False

    def __init__(self) -> None:
        bootstrap.install()

    def filter_all(
        self, filter_obj_list: Iterable[Any], spec_obj: Any
    ) -> list[Any]:
        """Return the hosts which can serve an instance.

        :param filter_obj_list: Nova's ``HostState`` objects.
        :param spec_obj: Nova's ``RequestSpec``.
        """
        hosts = list(filter_obj_list)
        if not hosts or scheduler.request_is_rebuild(spec_obj):
            return hosts
        pci_requests = spec_obj.pci_requests
        wanted = requests.ours(pci_requests.requests if pci_requests else ())
        if wanted:
            return self._serving(hosts, _Scheduling(spec_obj, wanted))
        if requests.missing(spec_obj.flavor, pci_requests):
            refuse_all(
                hosts,
                _Scheduling(spec_obj, []),
                'the flavor asks for PCI flavors and the request does not: '
                'a nova-api without pci_passthrough has made it',
            )
            return []
        return hosts

    def _serving(self, hosts: list[Any], scheduling: _Scheduling) -> list[Any]:
        loaded, fresh = _split(hosts, scheduling.spec)
        if loaded:
            scheduling = loaded[0].pci_stats.scheduling
        if fresh:
            try:
                _load(fresh, scheduling)
            except exception.PciPassthroughError as error:
                refuse_all(hosts, scheduling, error.text)
                return []
        passed = []
        refused: dict[str, list[str]] = {}
        for host in hosts:
            reasons = _look(host, scheduling)
            if not reasons:
                passed.append(host)
            for reason in reasons:
                refused.setdefault(reason, []).append(host.host)
        _tell(scheduling, refused)
        return passed


def _split(hosts: list[Any], spec: Any) -> tuple[list[Any], list[Any]]:
    """Return the hosts whose offers are here already, and the others.

    Those have been consumed from for earlier instances of a multi-create.
    Host states live as long as one request to the scheduler.
    """
    loaded: list[Any] = []
    fresh: list[Any] = []
    for host in hosts:
        found = host.pci_stats
        known = (
            isinstance(found, ScheduledStats) and found.scheduling.spec is spec
        )
        (loaded if known else fresh).append(host)
    return loaded, fresh


def _load(hosts: list[Any], scheduling: _Scheduling) -> None:
    """Ask once what all hosts offer."""
    spec = scheduling.spec
    policy = requests.policy_of_image(spec.image)
    offer = client.conductor().offer(
        [requests.to_pci_request(one, policy) for one in scheduling.wanted],
        {host.host for host in hosts},
        instance_uuid=spec.instance_uuid,
    )
    for host in hosts:
        native = host.pci_stats
        if native is None:
            continue
        host.pci_stats = ScheduledStats.with_offer(
            native, stats.HostOffer(host.host, offer)
        )
        host.pci_stats.scheduling = scheduling


def _look(host: Any, scheduling: _Scheduling) -> list[str]:
    """Find out how a host would serve the next instance.

    :returns: why it cannot; nothing if it can.
    """
    found = host.pci_stats
    if found is None:
        return ['nova-compute has not reported yet']
    offer = found.offer
    place: objects.NumaAffinity | None = None
    found.decision = offer.decide(place)
    if found.decision is not None:
        for place in _places(host, scheduling):
            found.decision = offer.decide(place)
            if found.decision is not None:
                return []
    return list(offer.offer.refused([host.host], place))


def _places(
    host: Any, scheduling: _Scheduling
) -> Sequence[objects.NumaAffinity | None]:
    """Return where on a host an instance could be.

    Whether it fits there by CPUs and memory is NUMATopologyFilter's to say;
    here it is enough to know whether its devices could be near.
    """
    instance = scheduling.spec.numa_topology
    if not (instance and host.numa_topology):
        return [None]
    cells = host.numa_topology.cells
    # Many hosts are alike, and reading an object's fields takes time.
    like = tuple((cell.id, stats.socket_of(cell)) for cell in cells)
    if like not in scheduling.places:
        choices = itertools.combinations(cells, len(instance.cells))
        some = list(itertools.islice(choices, _MOST_CHOICES + 1))
        scheduling.places[like] = (
            [stats.affinity(one, host.numa_topology) for one in some]
            if len(some) <= _MOST_CHOICES
            else [None]
        )
    return scheduling.places[like]


def refuse_all(
    hosts: Sequence[Any], scheduling: _Scheduling, reason: str
) -> None:
    """Tell why no host is taken, whatever they offer."""
    _tell(scheduling, {reason: [host.host for host in hosts]})


def _tell(scheduling: _Scheduling, refused: dict[str, list[str]]) -> None:
    """Log why hosts are refused, and have it kept.

    Once for each instance: the look for alternates tells nothing new.
    """
    instance_uuid = scheduling.spec.instance_uuid
    if not refused or instance_uuid in scheduling.told:
        return
    scheduling.told.add(instance_uuid)
    summary = claims.summarize_hosts(refused)
    wanted = requests.in_words(scheduling.wanted)
    LOG.info(
        'PCI flavors %(wanted)s for instance %(uuid)s: %(summary)s',
        {'wanted': wanted, 'uuid': instance_uuid, 'summary': summary},
    )
    try:
        client.conductor().note_refusals(
            instance_uuid, summary, refused, wanted
        )
    except exception.PciPassthroughError as error:
        LOG.error('Refusals are not kept: %s', error.text)
