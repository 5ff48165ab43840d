# SPDX-License-Identifier: Apache-2.0
"""What the database can tell of devices and hosts, for Prometheus.

It is counted for the scrape that asks. Nothing is kept, but scrapes that come
while the database is still being asked share the answer.
"""

from collections.abc import Iterator
import contextvars
import dataclasses
import threading

from oslo_log import log as logging
from prometheus_client import core
from prometheus_client import registry

from pci_passthrough import exception
from pci_passthrough import store
from pci_passthrough.store import database
from pci_passthrough.store.views import census

LOG = logging.getLogger(__name__)

#: Seconds after which a scrape goes without the database. Prometheus itself
#: gives up after ten, unless it says otherwise.
PATIENCE = 8.0

#: The same, for the scrape that is being answered in this context.
patience_of_scrape: contextvars.ContextVar[float] = contextvars.ContextVar(
    'patience_of_scrape'
)

#: What the thread is called that asks.
THREAD = 'metrics-census'

#: States that are told even where no device is in them.
_ALWAYS = ('free', 'held')


class CensusCollector(registry.Collector):
    """Asks the database at each scrape. Thread-safe.

    A thread of its own asks, and there is never more than one: a database
    that answers nobody for minutes keeps that one, and no scrape.

    :param patience: seconds after which a scrape goes without the database,
        if it does not say what it can wait.
    """

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._lock = threading.Lock()
        self._source: _Source | None = None
        self._asked: _Question | None = None
        self._said: str | None = None

    def use(self, db: store.Reader, limits: store.Limits) -> None:
        """Ask this database from now on.

        :param limits: after which silence hosts are down.
        """
        self._source = _Source(db, limits)

    def collect(self) -> Iterator[core.Metric]:
        """Return the metrics; of the registry's interface."""
        taken = self._take()
        yield core.GaugeMetricFamily(
            'pci_passthrough_database_up',
            'Whether the database answered this scrape. If not, there are no '
            'metrics about devices and hosts.',
            value=float(taken is not None),
        )
        if taken is not None:
            yield _devices(taken)
            yield from _hosts(taken)

    def _take(self) -> census.Census | None:
        patience = patience_of_scrape.get(self._patience)
        with self._lock:
            if self._source is None:
                return None
            if self._asked is None or not self._asked.is_alive():
                self._asked = _Question(self._source)
            asked = self._asked
        asked.join(patience)
        with self._lock:
            # An answer about ten thousand hosts is not kept for the next.
            if self._asked is asked and not asked.is_alive():
                self._asked = None
        trouble = asked.trouble
        if asked.answer is None and trouble is None:
            trouble = f'no answer after {patience:g} seconds'
        self._say(trouble)
        return asked.answer

    def _say(self, trouble: str | None) -> None:
        """Say once what is wrong with the database, not at each scrape."""
        if trouble is not None and trouble != self._said:
            LOG.warning('Metrics go without the database: %s', trouble)
        self._said = trouble


@dataclasses.dataclass(frozen=True, slots=True)
class _Source:
    db: store.Reader
    limits: store.Limits


class _Question(threading.Thread):
    """One look at the database."""

    def __init__(self, source: _Source) -> None:
        super().__init__(name=THREAD, daemon=True)
        self._source = source
        self.answer: census.Census | None = None
        self.trouble: str | None = None
        self.start()

    def run(self) -> None:
        try:
            self.answer = census.take(self._source.db, self._source.limits)
        except (exception.Unavailable, *database.ERRORS) as error:
            # SQLAlchemy's further lines hold the statement, and links.
            self.trouble = str(error).partition('\n')[0]


def _devices(taken: census.Census) -> core.Metric:
    family = core.GaugeMetricFamily(
        'pci_passthrough_devices',
        'Devices by PCI flavor, host, NUMA node and state. A device that two '
        'PCI flavors match counts in both. pci_flavor is empty for devices '
        'that no PCI flavor matches, numa_node where the host does not tell. '
        'free and held are always there, other states if a device is in '
        'them. Devices of hosts that are down are among them.',
        labels=['pci_flavor', 'host', 'numa_node', 'state'],
    )
    for group, states in taken.devices.items():
        numa_node = '' if group.numa_node is None else str(group.numa_node)
        labels = [group.pci_flavor, group.host, numa_node]
        for state in {**dict.fromkeys(_ALWAYS, 0), **states}:
            count = states.get(state, 0)
            family.add_metric([*labels, state], count)
    return family


def _hosts(taken: census.Census) -> Iterator[core.Metric]:
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
    for signs in taken.hosts:
        labels = [signs.host]
        reported.add_metric(labels, signs.report_age)
        if signs.tracker_age is not None:
            registered.add_metric(labels, signs.tracker_age)
        up.add_metric(labels, float(signs.is_up))
        tracked.add_metric(labels, float(signs.tracker_is_up))
    yield from (reported, registered, up, tracked)


def _host_gauge(name: str, text: str) -> core.GaugeMetricFamily:
    return core.GaugeMetricFamily(
        f'pci_passthrough_host_{name}', text, labels=['host']
    )
