# SPDX-License-Identifier: Apache-2.0
"""Metrics of devices and hosts, read from the database at each scrape.

Nothing is cached, but scrapes that arrive during a query share its answer.
"""

from collections.abc import Iterator
import contextvars
import dataclasses
import threading

from oslo_log import log as logging
from prometheus_client import core
from prometheus_client import registry

from pci_passthrough import audit
from pci_passthrough import exception
from pci_passthrough import reporting
from pci_passthrough import store
from pci_passthrough.objects import fields
from pci_passthrough.store import database
from pci_passthrough.store.views import census

LOG = logging.getLogger(__name__)

#: Seconds after which a scrape is answered without the database. Prometheus
#: gives up after ten seconds, unless it sends another timeout.
TIMEOUT = 8.0

#: The timeout of the scrape that is answered in this context, if it sent one.
scrape_timeout: contextvars.ContextVar[float] = contextvars.ContextVar(
    'scrape_timeout'
)

#: The name of the thread that queries the database.
THREAD = 'metrics-census'

#: States that are exported even if no device is in them.
_ALWAYS = ('free', 'held')

#: Actions that are exported even if there was no such event.
_ALWAYS_COUNTED = (
    *fields.Repair.ALL,
    reporting.Action.WITHDRAW,
    reporting.Action.REMOVE,
    reporting.Action.MISS,
    reporting.Action.CONFLICT,
)


class CensusCollector(registry.Collector):
    """Queries the database at each scrape. Thread-safe.

    At most one thread at a time queries the database. While the database does
    not answer, only this thread hangs, and scrapes are answered without it.

    :param timeout: seconds after which a scrape is answered without the
        database, if the scrape has no ``scrape_timeout``.
    """

    def __init__(self, timeout: float = TIMEOUT) -> None:
        self._timeout = timeout
        self._lock = threading.Lock()
        self._source: _Source | None = None
        self._query: _Query | None = None
        self._logged: str | None = None

    def use(self, db: store.Reader, limits: store.Limits) -> None:
        """Query this database from now on.

        :param limits: the timeouts after which hosts are down.
        """
        self._source = _Source(db, limits)

    def collect(self) -> Iterator[core.Metric]:
        """Return the metrics; prometheus_client calls it at each scrape."""
        counts = self._count()
        yield core.GaugeMetricFamily(
            'pci_passthrough_database_up',
            'Whether the database answered this scrape. If not, there are no '
            'metrics about devices and hosts.',
            value=float(counts is not None),
        )
        if counts is not None:
            yield _devices(counts)
            yield from _hosts(counts)
            yield from _doubts(counts)
            yield _unserved(counts)
            yield _events(counts)
            yield from _audit(counts)

    def _count(self) -> census.Census | None:
        timeout = scrape_timeout.get(self._timeout)
        with self._lock:
            if self._source is None:
                return None
            if self._query is None or not self._query.is_alive():
                self._query = _Query(self._source)
            query = self._query
        query.join(timeout)
        with self._lock:
            # The answer may be about ten thousand hosts: do not keep it.
            if self._query is query and not query.is_alive():
                self._query = None
        error = query.error
        if query.answer is None and error is None:
            error = f'no answer after {timeout:g} seconds'
        self._log_once(error)
        return query.answer

    def _log_once(self, error: str | None) -> None:
        """Log an error of the database, but not at each scrape."""
        if error is not None and error != self._logged:
            LOG.warning(
                'Answering scrapes without the metrics of devices and hosts: '
                'database error: %s',
                error,
            )
        self._logged = error


@dataclasses.dataclass(frozen=True, slots=True)
class _Source:
    db: store.Reader
    limits: store.Limits


class _Query(threading.Thread):
    """One query of the database."""

    def __init__(self, source: _Source) -> None:
        super().__init__(name=THREAD, daemon=True)
        self._source = source
        self.answer: census.Census | None = None
        self.error: str | None = None
        self.start()

    def run(self) -> None:
        try:
            self.answer = census.take(self._source.db, self._source.limits)
        except (exception.Unavailable, *database.ERRORS) as error:
            # SQLAlchemy's further lines hold the statement, and links.
            self.error = str(error).partition('\n')[0]


def _devices(counts: census.Census) -> core.Metric:
    family = core.GaugeMetricFamily(
        'pci_passthrough_devices',
        'Devices by PCI flavor, host, NUMA node, resource type and state. A '
        'device that two '
        'PCI flavors match counts in both. pci_flavor is empty for devices '
        'that no PCI flavor matches, numa_node where it is unknown. '
        'free and held are always exported, other states if a device is in '
        'them. A device that is free on a host whose agent or nova-compute is '
        'not up is unreachable.',
        labels=['pci_flavor', 'host', 'numa_node', 'resource_type', 'state'],
    )
    for group, states in counts.devices.items():
        numa_node = '' if group.numa_node is None else str(group.numa_node)
        labels = [
            group.pci_flavor,
            group.host,
            numa_node,
            group.resource_type,
        ]
        for state in {**dict.fromkeys(_ALWAYS, 0), **states}:
            count = states.get(state, 0)
            family.add_metric([*labels, state], count)
    return family


def _hosts(counts: census.Census) -> Iterator[core.Metric]:
    reported = _host_gauge(
        'report_age_seconds', 'Time since the last report of the agent.'
    )
    registered = _host_gauge(
        'tracker_age_seconds',
        'Time since the last registration of the resource tracker in '
        'nova-compute. Hosts whose tracker has never registered are missing.',
    )
    up = _host_gauge(
        'up', 'Whether the agent has reported within host_timeout.'
    )
    tracked = _host_gauge(
        'tracker_up',
        'Whether the resource tracker has registered within '
        'tracker_timeout. Nova is offered a host only while this and '
        'pci_passthrough_host_up are 1.',
    )
    for host in counts.hosts:
        labels = [host.host]
        reported.add_metric(labels, host.report_age)
        if host.tracker_age is not None:
            registered.add_metric(labels, host.tracker_age)
        up.add_metric(labels, float(host.is_up))
        tracked.add_metric(labels, float(host.tracker_is_up))
    yield from (reported, registered, up, tracked)


def _doubts(counts: census.Census) -> Iterator[core.Metric]:
    age = _device_gauge(
        'cleaning_age_seconds',
        'Time since the preparation of a device was due.',
    )
    progress = _device_gauge(
        'cleaning_progress_ratio',
        'Progress of the preparation of a device, from 0 to 1; devices whose '
        'handlers report none are missing.',
    )
    failed = _device_gauge(
        'failed_starts',
        'Guests in a row that could not be started with a device; devices '
        'without any are missing.',
    )
    for doubt in counts.doubts:
        labels = [doubt.host, doubt.address]
        if doubt.cleaning_age is not None:
            age.add_metric(labels, doubt.cleaning_age)
            if doubt.percent is not None:
                progress.add_metric(labels, doubt.percent / 100)
        if doubt.failed_starts:
            failed.add_metric(labels, doubt.failed_starts)
    yield from (age, progress, failed)


def _unserved(counts: census.Census) -> core.Metric:
    family = core.GaugeMetricFamily(
        'pci_passthrough_unserved_requests',
        'Scheduling requests of Nova in the last hour for which no host was '
        'left, by the PCI flavors that were missing. A request counts for '
        'each of them. PCI flavors that were deleted are left out.',
        labels=['pci_flavor'],
    )
    for name, count in sorted(counts.unserved.items()):
        family.add_metric([name], count)
    return family


def _events(counts: census.Census) -> core.Metric:
    family = core.GaugeMetricFamily(
        'pci_passthrough_device_events',
        "Events of the devices' history in the last hour, by action. Repairs "
        'by nova-compute, takeovers of devices and devices that hosts no '
        'longer offer are always exported, other actions if there were any.',
        labels=['action'],
    )
    for action, count in sorted(
        {**dict.fromkeys(_ALWAYS_COUNTED, 0), **counts.events}.items()
    ):
        family.add_metric([action], count)
    return family


def _audit(counts: census.Census) -> Iterator[core.Metric]:
    if counts.audit is None:
        return
    yield core.GaugeMetricFamily(
        'pci_passthrough_audit_age_seconds',
        'Time since the last periodic audit that Nova answered. Missing '
        'before the first one.',
        value=counts.audit.age,
    )
    family = core.GaugeMetricFamily(
        'pci_passthrough_audit_differences',
        'Differences between what instances hold and the servers of Nova, as '
        'the last periodic audit has found and not mended them, by kind.',
        labels=['kind'],
    )
    for kind in audit.Kind:
        family.add_metric(
            [kind.value], counts.audit.differences.get(kind.value, 0)
        )
    yield family


def _device_gauge(name: str, text: str) -> core.GaugeMetricFamily:
    return core.GaugeMetricFamily(
        f'pci_passthrough_device_{name}', text, labels=['host', 'address']
    )


def _host_gauge(name: str, text: str) -> core.GaugeMetricFamily:
    return core.GaugeMetricFamily(
        f'pci_passthrough_host_{name}', text, labels=['host']
    )
