# SPDX-License-Identifier: Apache-2.0
"""The conductor: answers agents and Nova from the database.

Neither of them needs access to it. Besides the conductors only the operator's
``pci-passthrough-manage`` writes there.
"""

import functools
import threading
from typing import Any

from oslo_config import cfg
from oslo_log import log as logging
from oslo_service import service

from pci_passthrough import exception
from pci_passthrough import rpc
from pci_passthrough import store
from pci_passthrough.services import backoff
from pci_passthrough.services import metrics
from pci_passthrough.services import metrics_census
from pci_passthrough.services import metrics_server
from pci_passthrough.services.endpoint import ConductorEndpoint
from pci_passthrough.services.operator_endpoint import OperatorEndpoint
from pci_passthrough.store import database
from pci_passthrough.store import schema

__all__ = ['ConductorEndpoint', 'ConductorService']

LOG = logging.getLogger(__name__)

#: What a database may be out of order with and be cured of.
_DATABASE_ERRORS = (exception.Unavailable, *database.ERRORS)

#: The longest pause, in seconds, between two looks at such a database.
_DATABASE_BACKOFF = 10.0


class ConductorService(service.ServiceBase):  # type: ignore[misc]
    """A conductor process: database, transport and RPC server.

    All connections are made in ``start``, that is after the fork. What all
    processes share comes before: the port of the metrics, and their counts.

    :raises InvalidConfiguration: ``transport_url`` or ``metrics_port`` cannot
        be used.
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._metrics = metrics_server.Listener()
        self._observations = metrics.Observations(conf.conductor.workers)
        self.reconfigure(conf)
        self._server: Any = None
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
        """Begin to answer calls.

        It returns when database and broker can be used. The program has
        looked at the database before it launched this; but a worker that is
        started later, after SIGHUP for example, may find another one.
        """
        census = metrics_census.CensusCollector()
        self._scrapes = self._metrics.serve([self._observations, census])
        if not self._wait_for_database():
            return
        policy = store.Policy.from_conf(self._conf)
        census.use(self.database, policy.limits)
        self._transport = rpc.get_transport(self._conf)
        server = rpc.conductor_server(
            self._transport,
            self._conf.host,
            ConductorEndpoint(self.database, policy, self._observations),
            OperatorEndpoint(self.database),
        )
        server.start()
        # Not before: oslo.messaging would let stop() wait for start().
        self._server = server
        LOG.info('Conductor on %s is ready', self._conf.host)

    def _wait_for_database(self) -> bool:
        """Return True as soon as there is a schema, False if stopped before.

        Said once and not at each look. An error would end this process, and
        oslo.service would start it again and again.
        """
        pauses = backoff.Backoff(_DATABASE_BACKOFF)
        said = None
        while not self._stopped.is_set():
            try:
                schema.check(self.database)
                return True
            except _DATABASE_ERRORS as error:
                # SQLAlchemy's further lines hold the statement, and links.
                reason = str(error).partition('\n')[0]
                if reason != said:
                    LOG.error(
                        'The database cannot be used, no call is answered '
                        'until it can: %s',
                        reason,
                    )
                    said = reason
            self._stopped.wait(pauses.failed())
        return False

    def stop(self) -> None:
        """Take no new calls and finish those under way.

        oslo.service ends the process when this returns, and after
        ``graceful_shutdown_timeout`` in any case.
        """
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
        starts another, with the configuration read anew; see ``reloading``.
        """
