# SPDX-License-Identifier: Apache-2.0
"""The conductor: answers agents and Nova from the database.

Neither of them needs access to it. Besides the conductors only the operator's
``pci-passthrough-manage`` writes there.
"""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import functools
import threading
from typing import Any
from typing import ParamSpec
from typing import TypeVar

from oslo_config import cfg
from oslo_log import log as logging
import oslo_messaging
from oslo_service import service
from oslo_versionedobjects import base as ovo_base

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough import rpc
from pci_passthrough import store
from pci_passthrough.objects import report as report_obj
from pci_passthrough.rpc import messaging
from pci_passthrough.services import reporter
from pci_passthrough.store import claims
from pci_passthrough.store import database
from pci_passthrough.store import hosts
from pci_passthrough.store import reports
from pci_passthrough.store import schema

LOG = logging.getLogger(__name__)

#: What a database may be out of order with and be cured of.
_DATABASE_ERRORS = (exception.Unavailable, *database.ERRORS)

#: The longest pause, in seconds, between two looks at such a database.
_DATABASE_BACKOFF = 10.0

_P = ParamSpec('_P')
_R = TypeVar('_R')

_expected = oslo_messaging.expected_exceptions(exception.PciPassthroughError)


def _answers(method: Callable[_P, _R]) -> Callable[_P, _R]:
    """Let callers call a method, and hand them this project's errors.

    Those are answers and no faults of the server, which oslo.messaging
    would log with a traceback. What is away is the operator's business, too.
    """

    @functools.wraps(method)
    def wrapper(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return method(*args, **kwargs)
        except exception.Unavailable as error:
            LOG.warning('No %s: %s', method.__name__, error.text)
            raise

    # Assigned, because oslo.messaging's decorators carry no types.
    exposed: Callable[_P, _R] = oslo_messaging.expose(_expected(wrapper))
    return exposed


class ConductorEndpoint:
    """The methods which ``rpc.ConductorClient`` calls.

    :param db: the database.
    :param policy: what the operator configured.
    """

    target = oslo_messaging.Target(version=messaging.CONDUCTOR_VERSION)

    def __init__(self, db: store.Database, policy: claims.Policy) -> None:
        self._db = db
        self._policy = policy
        self._catalog = store.Catalog()

    @_answers
    def heartbeat(
        self,
        context: Mapping[str, Any],
        host: str,
        generation: int,
        digest: str,
    ) -> objects.ReportAck:
        """Note a sign of life; see ``ConductorClient.heartbeat``."""
        known = hosts.touch(self._db, host, generation, digest)
        wanted = report_obj.Wanted
        return objects.ReportAck(
            generation=generation,
            sequence=0,
            wanted=wanted.NOTHING if known else wanted.FULL_REPORT,
        )

    @_answers
    def report(
        self, context: Mapping[str, Any], report: objects.HostReport
    ) -> objects.ReportAck:
        """Apply a report; see ``store.reports.apply``."""
        ack = reports.apply(self._db, report)
        LOG.info(
            'Report of %(host)s: %(offered)d devices%(anew)s, %(withdrawn)d '
            'not offered, %(gone)d gone; generation %(generation)d, next: '
            '%(wanted)s',
            {
                'host': report.host,
                'offered': len(report.offered),
                'anew': '' if report.is_full else ' anew',
                'withdrawn': len(report.withdrawn),
                'gone': len(report.gone),
                'generation': ack.generation,
                'wanted': ack.wanted,
            },
        )
        return ack

    @_answers
    def claim(
        self,
        context: Mapping[str, Any],
        host: str,
        instance_uuid: str,
        requests: Sequence[objects.PciRequest],
        actor: str,
        numa: objects.NumaAffinity | None = None,
        project_id: str | None = None,
    ) -> objects.ClaimResult:
        """Claim devices; a refusal is an answer, not an error."""
        try:
            devices = claims.claim(
                self._db,
                self._catalog,
                self._policy,
                host,
                instance_uuid,
                requests,
                actor,
                numa,
                project_id,
            )
        except exception.ClaimRefused as refused:
            LOG.info(
                'Claim of instance %s refused on %s: %s',
                instance_uuid,
                host,
                refused,
            )
            return objects.ClaimResult(
                devices=[], refusal=refused.text, reasons=refused.reasons
            )
        return _result('claim', instance_uuid, devices)

    @_answers
    def allocate(
        self,
        context: Mapping[str, Any],
        host: str,
        instance_uuid: str,
        actor: str,
        request_ids: list[str] | None = None,
    ) -> objects.ClaimResult:
        """See ``store.claims.allocate``."""
        return _result(
            'allocate',
            instance_uuid,
            claims.allocate(self._db, host, instance_uuid, actor, request_ids),
        )

    @_answers
    def abort(
        self,
        context: Mapping[str, Any],
        host: str,
        instance_uuid: str,
        actor: str,
        request_ids: list[str] | None = None,
    ) -> objects.ClaimResult:
        """See ``store.claims.abort``."""
        return _result(
            'abort',
            instance_uuid,
            claims.abort(self._db, host, instance_uuid, actor, request_ids),
        )

    @_answers
    def free(
        self,
        context: Mapping[str, Any],
        host: str | None,
        instance_uuid: str,
        actor: str,
        request_ids: list[str] | None = None,
    ) -> objects.ClaimResult:
        """See ``store.claims.free``."""
        return _result(
            'free',
            instance_uuid,
            claims.free(self._db, instance_uuid, actor, host, request_ids),
        )

    @_answers
    def object_backport_versions(
        self,
        context: Mapping[str, Any],
        objinst: ovo_base.VersionedObject,
        object_versions: Mapping[str, str],
    ) -> Any:
        """Turn an object into the version that an older caller knows."""
        return objinst.obj_to_primitive(
            target_version=object_versions[objinst.obj_name()],
            version_manifest=dict(object_versions),
        )


def _result(
    action: str, instance_uuid: str, devices: Sequence[objects.PciDevice]
) -> objects.ClaimResult:
    LOG.info(
        '%s for instance %s: %s',
        action,
        instance_uuid,
        ', '.join(f'{d.host}/{d.address}' for d in devices) or 'nothing',
    )
    return objects.ClaimResult(devices=list(devices), refusal=None, reasons=[])


class ConductorService(service.ServiceBase):  # type: ignore[misc]
    """A conductor process: database, transport and RPC server.

    All connections are made in ``start``, that is after the fork.

    :raises InvalidConfiguration: ``transport_url`` cannot be used.
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self.reconfigure(conf)
        self._server: Any = None
        self._stopped = threading.Event()

    def reconfigure(self, conf: cfg.ConfigOpts) -> None:
        """Use a configuration from the next ``start`` on.

        :raises: InvalidConfiguration; then nothing is changed.
        """
        rpc.check_transport(conf)
        database.check_url(conf.database.connection)
        self._conf = conf

    @functools.cached_property
    def database(self) -> store.Database:
        """The database that the conductor writes."""
        return store.Database.from_conf(self._conf)

    def start(self) -> None:
        """Begin to answer calls.

        It returns when database and broker can be used. The program has
        looked at the database before it launched this; but a worker that is
        started later, after SIGHUP for example, may find another one.
        """
        if not self._wait_for_database():
            return
        options = self._conf.conductor
        policy = claims.Policy(options.host_timeout, options.vf_placement)
        self._transport = rpc.get_transport(self._conf)
        server = rpc.conductor_server(
            self._transport,
            self._conf.host,
            ConductorEndpoint(self.database, policy),
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
        backoff = reporter.Backoff(_DATABASE_BACKOFF)
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
            self._stopped.wait(backoff.failed())
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
        self._stopped.set()

    def wait(self) -> None:
        """Return when the service is stopped."""
        self._stopped.wait()

    def reset(self) -> None:
        """Do nothing.

        oslo.service does not call it: at SIGHUP it stops this process and
        starts another, with the configuration read anew; see ``reloading``.
        """
