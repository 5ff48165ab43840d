# SPDX-License-Identifier: Apache-2.0
"""The conductor: answers agents and Nova, and is the database's only writer."""

from collections.abc import Mapping
from collections.abc import Sequence
import functools
from typing import Any

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
from pci_passthrough.store import claims
from pci_passthrough.store import hosts
from pci_passthrough.store import reports
from pci_passthrough.store import schema

LOG = logging.getLogger(__name__)

#: Handed to the caller as they are, not logged as a fault of the server.
_expected = oslo_messaging.expected_exceptions(exception.PciPassthroughError)


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

    @oslo_messaging.expose
    @_expected
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

    @oslo_messaging.expose
    @_expected
    def report(
        self, context: Mapping[str, Any], report: objects.HostReport
    ) -> objects.ReportAck:
        """Apply a report; see ``store.reports.apply``."""
        ack = reports.apply(self._db, report)
        LOG.info(
            'Report of %(host)s: %(offered)d offered%(full)s, generation '
            '%(generation)d, next: %(wanted)s',
            {
                'host': report.host,
                'offered': len(report.offered),
                'full': ' in all' if report.is_full else ' anew',
                'generation': ack.generation,
                'wanted': ack.wanted,
            },
        )
        return ack

    @oslo_messaging.expose
    @_expected
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
        return _result(devices)

    @oslo_messaging.expose
    @_expected
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
            claims.allocate(self._db, host, instance_uuid, actor, request_ids)
        )

    @oslo_messaging.expose
    @_expected
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
            claims.abort(self._db, host, instance_uuid, actor, request_ids)
        )

    @oslo_messaging.expose
    @_expected
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
            claims.free(self._db, instance_uuid, actor, host, request_ids)
        )

    @oslo_messaging.expose
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


def _result(devices: Sequence[objects.PciDevice]) -> objects.ClaimResult:
    return objects.ClaimResult(devices=list(devices), refusal=None, reasons=[])


class ConductorService(service.ServiceBase):  # type: ignore[misc]
    """A conductor process: database, transport and RPC server.

    All connections are made in ``start``, that is after the fork.
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._conf = conf
        self._server: Any = None

    @functools.cached_property
    def database(self) -> store.Database:
        """The database that the conductor writes."""
        return store.Database.from_conf(self._conf)

    def start(self) -> None:
        """Check the schema and begin to answer calls.

        :raises: DatabaseNotReady
        """
        schema.check(self.database)
        options = self._conf.conductor
        policy = claims.Policy(options.host_timeout, options.vf_placement)
        self._server = rpc.conductor_server(
            rpc.get_transport(self._conf),
            self._conf.host,
            ConductorEndpoint(self.database, policy),
        )
        self._server.start()
        LOG.info('Conductor on %s is ready', self._conf.host)

    def stop(self) -> None:
        """Take no new calls and finish those under way."""
        if self._server is not None:
            self._server.stop()

    def wait(self) -> None:
        """Return when all calls are answered and the service is stopped."""
        if self._server is not None:
            self._server.wait()
            self.database.close()

    def reset(self) -> None:
        """Do nothing at SIGHUP: no option can change while it runs."""
