# SPDX-License-Identifier: Apache-2.0
"""The conductor: serves RPC calls of agents, Nova and the REST API.

None of the callers needs access to the database. Only the conductors and the
operator's ``pci-passthrough-manage`` write it.
"""

import functools
import threading
from typing import Any

from oslo_config import cfg
from oslo_log import log as logging
from oslo_service import service

from pci_passthrough import exception
from pci_passthrough import nova_api
from pci_passthrough import rpc
from pci_passthrough import store
from pci_passthrough.services import auditing
from pci_passthrough.services import backoff
from pci_passthrough.services import call_budget
from pci_passthrough.services import metrics
from pci_passthrough.services import metrics_census
from pci_passthrough.services import metrics_server
from pci_passthrough.services import periodic_audit
from pci_passthrough.services import quota_limits
from pci_passthrough.services.endpoint import ConductorEndpoint
from pci_passthrough.services.operator_endpoint import OperatorEndpoint
from pci_passthrough.services.preparation_endpoint import PreparationEndpoint
from pci_passthrough.services.quota_endpoint import QuotaEndpoint
from pci_passthrough.store import database
from pci_passthrough.store import schema

__all__ = ['ConductorEndpoint', 'ConductorService']

LOG = logging.getLogger(__name__)

#: Errors of a database that may end without a restart of the conductor.
_DATABASE_ERRORS = (exception.Unavailable, *database.ERRORS)

#: The longest pause, in seconds, between two checks of such a database.
_DATABASE_BACKOFF = 10.0


class ConductorService(service.ServiceBase):  # type: ignore[misc]
    """A conductor process: database, transport and RPC server.

    All connections are opened in ``start``, which is after the fork. The port
    and the counters of the metrics are shared by all workers, so they are
    created before.

    :raises InvalidConfiguration: ``transport_url`` or ``metrics_port`` cannot
        be used.
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._metrics = metrics_server.Listener()
        self._observations = metrics.Observations(conf.conductor.workers)
        self.reconfigure(conf)
        self._server: Any = None
        self._audit: periodic_audit.PeriodicAudit | None = None
        self._scrapes: metrics_server.Server | None = None
        self._stopped = threading.Event()

    def reconfigure(self, conf: cfg.ConfigOpts) -> None:
        """Use a configuration from the next ``start`` on.

        :raises: InvalidConfiguration; then nothing is changed.
        """
        rpc.check_transport(conf)
        database.check_url(conf.database.connection)
        self._metrics.listen(
            conf.conductor.metrics_bind_host, conf.conductor.metrics_port
        )
        self._conf = conf

    @functools.cached_property
    def database(self) -> store.Writer:
        """The database that the conductor writes."""
        return store.Writer.from_conf(self._conf)

    def start(self) -> None:
        """Start to answer calls; return when database and broker are usable.

        The program has checked the database before it launched the service.
        A worker that is started later, for example after SIGHUP, checks it
        again, because its configuration may name another database.
        """
        census = metrics_census.CensusCollector()
        self._scrapes = self._metrics.serve([self._observations, census])
        if not self._wait_for_database():
            return
        policy = store.Policy.from_conf(self._conf)
        census.use(self.database, policy.limits)
        limits = quota_limits.from_conf(self._conf)
        self._transport = rpc.get_transport(self._conf)
        aggregates = nova_api.Aggregates(self._conf)
        endpoint = ConductorEndpoint(
            self.database,
            policy,
            self._observations,
            limits,
            aggregates,
        )
        # Hosts that report nothing new may have groups from before.
        endpoint.group_flavors.make()
        preparation = PreparationEndpoint(self.database, policy)
        # One budget: its calls are those of one host.
        endpoint.calls = preparation.calls = call_budget.CallBudget(
            self._conf.conductor.calls_per_host
        )
        server = rpc.conductor_server(
            self._transport,
            self._conf.host,
            endpoint,
            OperatorEndpoint(self.database, policy.limits, aggregates),
            preparation,
            QuotaEndpoint(self.database, limits),
        )
        self._start_audit(policy)
        server.start()
        # Not earlier: oslo.messaging would make stop() wait for start().
        self._server = server
        LOG.info('Conductor on %s is ready', self._conf.host)

    def _start_audit(self, policy: store.Policy) -> None:
        servers = nova_api.Servers(self._conf)
        options = self._conf.conductor
        if servers.is_configured and options.audit_interval:
            self._audit = periodic_audit.PeriodicAudit(
                self.database,
                auditing.Audit(self.database, servers, policy.bounds),
                options.audit_interval,
                options.audit_fix,
            )
            self._audit.start()

    def _wait_for_database(self) -> bool:
        """Return True when the schema is usable, False if stopped before.

        Each error is logged once, not at each check. It must not be raised:
        it would end this process, and oslo.service would restart it forever.
        """
        pauses = backoff.Backoff(_DATABASE_BACKOFF)
        logged = None
        while not self._stopped.is_set():
            try:
                schema.check(self.database)
                return True
            except _DATABASE_ERRORS as error:
                # SQLAlchemy's further lines hold the statement, and links.
                reason = str(error).partition('\n')[0]
                if reason != logged:
                    LOG.error(
                        'The database cannot be used, no call is answered '
                        'until it can: %s',
                        reason,
                    )
                    logged = reason
            self._stopped.wait(pauses.failed())
        return False

    def stop(self) -> None:
        """Accept no more calls and finish those that are running.

        oslo.service ends the process when this returns, and after
        ``graceful_shutdown_timeout`` in any case.
        """
        if self._audit is not None:
            self._audit.stop()
        if self._server is not None:
            self._server.stop()
            self._server.wait()
            self._transport.cleanup()
            self.database.close()
        if self._scrapes is not None:
            self._scrapes.stop()
        self._metrics.close()
        self._stopped.set()

    def wait(self) -> None:
        """Return when the service is stopped."""
        self._stopped.wait()

    def reset(self) -> None:
        """Do nothing.

        oslo.service does not call it: at SIGHUP it stops this process and
        starts another one with the new configuration; see ``reloading``.
        """
