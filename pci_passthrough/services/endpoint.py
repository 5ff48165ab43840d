# SPDX-License-Identifier: Apache-2.0
"""Answers the RPC methods that agents and Nova call."""

from collections.abc import Sequence
from typing import Any

from oslo_log import log as logging
import oslo_messaging
from oslo_versionedobjects import base as ovo_base

from pci_passthrough import claims
from pci_passthrough import exception
from pci_passthrough import nova_api
from pci_passthrough import objects
from pci_passthrough import store
from pci_passthrough.objects import report as report_obj
from pci_passthrough.rpc import methods
from pci_passthrough.services import answering
from pci_passthrough.services import call_budget
from pci_passthrough.services import group_flavors
from pci_passthrough.services import metrics
from pci_passthrough.services import quota_limits
from pci_passthrough.store import hosts
from pci_passthrough.store import scheduling_refusals
from pci_passthrough.store.claims import adoption
from pci_passthrough.store.claims import claiming
from pci_passthrough.store.claims import repairs
from pci_passthrough.store.claims import transitions
from pci_passthrough.store.devices import lookup
from pci_passthrough.store.devices import reports
from pci_passthrough.store.devices import trackers
from pci_passthrough.store.pci_flavors import resolving
from pci_passthrough.store.pools import counting
from pci_passthrough.store.views import supply_snapshots

LOG = logging.getLogger(__name__)


class ConductorEndpoint(call_budget.Endpoint):
    """Applies reports of hosts, and claims and frees devices for instances.

    ``rpc.ConductorClient`` calls its methods and those of
    ``OperatorEndpoint``.

    :param db: the database.
    :param policy: ``[conductor]`` of the configuration.
    :param observations: counts the calls for the metrics; None means that
        nobody reads the counts.
    :param limits: the limits of projects; None means that there are none.
    :param aggregates: asks Nova for host aggregates; None means that nobody
        can, so PCI flavors that are restricted to some serve nobody.
    """

    target = oslo_messaging.Target(version=methods.VERSION)

    def __init__(
        self,
        db: store.Writer,
        policy: store.Policy,
        observations: metrics.Observations | None = None,
        limits: quota_limits.Limits | None = None,
        aggregates: nova_api.Aggregates | None = None,
    ) -> None:
        self.observations = observations or metrics.Observations()
        self.group_flavors = group_flavors.GroupFlavors(
            db, policy.flavor_from_group
        )
        self._get_aggregates = (
            claiming.unknown_aggregates
            if aggregates is None
            else aggregates.get
        )
        self._db = db
        self._policy = policy
        self._limits = limits or quota_limits.NoLimits()

    @answering.answers(methods.Conductor.heartbeat)
    def heartbeat(
        self,
        host: str,
        generation: int,
        digest: str,
    ) -> objects.ReportAck:
        """Record a heartbeat; see ``ConductorClient.heartbeat``."""
        known = hosts.touch(self._db, host, generation, digest)
        wanted = report_obj.Wanted
        return objects.ReportAck(
            generation=generation,
            sequence=0,
            wanted=wanted.NOTHING if known else wanted.FULL_REPORT,
        )

    @answering.answers(methods.Conductor.report)
    def report(self, report: objects.HostReport) -> objects.ReportAck:
        """Apply a report; see ``store.devices.reports.apply``."""
        ack = reports.apply(self._db, report, self._policy.host_budget)
        self.group_flavors.make()
        self.observations.report(report, ack)
        LOG.info(
            'Report of host %(host)s, %(kind)s: %(offered)d devices offered, '
            '%(withdrawn)d not offered, %(gone)d gone; generation '
            '%(generation)d, wanted next: %(wanted)s',
            {
                'host': report.host,
                'kind': 'all devices' if report.is_full else 'changes',
                'offered': len(report.offered),
                'withdrawn': len(report.withdrawn),
                'gone': len(report.gone),
                'generation': ack.generation,
                'wanted': ack.wanted,
            },
        )
        return ack

    @answering.answers(methods.Conductor.claim)
    @metrics.observed_claim
    def claim(
        self,
        host: str,
        instance_uuid: str,
        requests: list[objects.PciRequest],
        actor: str,
        numa: objects.NumaAffinity | None = None,
        project_id: str | None = None,
        owner_project_id: str | None = None,
        replaces: bool = False,
    ) -> objects.ClaimResult:
        """Claim devices; a refusal is an answer, not an error."""
        try:
            devices = claiming.claim(
                self._db,
                self._policy,
                claims.ClaimRequest(
                    host,
                    instance_uuid,
                    requests,
                    actor,
                    numa,
                    project_id,
                    owner_project_id,
                    replaces,
                ),
                self._limits.last_known,
                self._get_aggregates,
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

    @answering.answers(methods.Conductor.allocate)
    def allocate(
        self,
        host: str,
        instance_uuid: str,
        actor: str,
        request_ids: list[str] | None = None,
    ) -> objects.ClaimResult:
        """See ``store.claims.transitions.allocate``."""
        return _result(
            'allocate',
            instance_uuid,
            transitions.allocate(
                self._db, host, instance_uuid, actor, request_ids
            ),
        )

    @answering.answers(methods.Conductor.abort)
    def abort(
        self,
        host: str,
        instance_uuid: str,
        actor: str,
        request_ids: list[str] | None = None,
    ) -> objects.ClaimResult:
        """See ``store.claims.transitions.abort``."""
        return _result(
            'abort',
            instance_uuid,
            transitions.abort(
                self._db,
                host,
                instance_uuid,
                actor,
                request_ids,
                self._policy.bounds,
            ),
        )

    @answering.answers(methods.Conductor.free)
    def free(
        self,
        host: str | None,
        instance_uuid: str,
        actor: str,
        request_ids: list[str] | None = None,
    ) -> objects.ClaimResult:
        """See ``store.claims.transitions.free``."""
        return _result(
            'free',
            instance_uuid,
            transitions.free(
                self._db,
                instance_uuid,
                actor,
                host,
                request_ids,
                self._policy.bounds,
            ),
        )

    @answering.answers(methods.Conductor.resolve)
    def resolve(
        self,
        requests: list[objects.PciRequest],
        project_id: str | None = None,
        take_disabled: bool = False,
    ) -> list[objects.ResolvedRequest]:
        """See ``store.pci_flavors.resolving.resolve``."""
        return resolving.resolve(self._db, requests, project_id, take_disabled)

    @answering.answers(methods.Conductor.offer)
    def offer(
        self,
        requests: list[objects.PciRequest],
        hosts: list[str] | None,
        project_id: str | None = None,
        instance_uuid: str | None = None,
        tracked_only: bool = True,
    ) -> objects.SchedulingOffer:
        """See ``store.views.supply_snapshots.get``."""
        limits = self._policy.limits
        return supply_snapshots.get(
            self._db,
            limits if tracked_only else limits.of_agents,
            requests,
            hosts,
            project_id,
            instance_uuid,
        ).to_wire()

    @answering.answers(methods.Conductor.hosts_with_devices)
    def hosts_with_devices(self) -> list[str]:
        """See ``store.hosts.with_devices``."""
        return hosts.with_devices(self._db)

    @answering.answers(methods.Conductor.free_by_numa_node)
    def free_by_numa_node(self) -> dict[str, list[list[int]]]:
        """See ``store.pools.counting.free_by_numa_node``."""
        hosts = counting.free_by_numa_node(self._db)
        # JSON has no numbers as keys.
        return {
            host: [list(node) for node in nodes.items()]
            for host, nodes in hosts.items()
        }

    @answering.answers(methods.Conductor.register_tracker)
    def register_tracker(self, host: str, version: str) -> objects.TrackerAck:
        """See ``store.devices.trackers.register``."""
        return trackers.register(self._db, host, version)

    @answering.answers(methods.Conductor.host_devices)
    def host_devices(self, host: str) -> list[objects.PciDevice]:
        """See ``store.devices.trackers.devices_of``."""
        return trackers.devices_of(self._db, host)

    @answering.answers(methods.Conductor.given_out)
    def given_out(self, host: str) -> list[str]:
        """See ``store.devices.lookup.given_out``."""
        return lookup.given_out(self._db, host)

    @answering.answers(methods.Conductor.adopt)
    def adopt(
        self,
        host: str,
        instance_uuid: str,
        request_id: str,
        addresses: list[str],
        actor: str,
        pci_flavor_uuid: str | None = None,
        project_id: str | None = None,
    ) -> list[objects.PciDevice]:
        """See ``store.claims.adoption.adopt``."""
        devices = adoption.adopt(
            self._db,
            host,
            instance_uuid,
            request_id,
            addresses,
            actor,
            pci_flavor_uuid,
            project_id,
        )
        _log('adopt', instance_uuid, devices)
        return devices

    @answering.answers(methods.Conductor.note_repair)
    def note_repair(
        self,
        host: str,
        instance_uuid: str,
        addresses: list[str],
        repair: str,
        actor: str,
    ) -> None:
        """See ``store.claims.repairs.note``."""
        repairs.note(self._db, host, instance_uuid, addresses, repair, actor)

    @answering.answers(methods.Conductor.note_refusals)
    def note_refusals(self, refusal: objects.SchedulingRefusal) -> None:
        """Record why the scheduler refused hosts."""
        self.observations.scheduling_refusal(refusal)
        scheduling_refusals.add(self._db, refusal, self._policy.refusals_kept)

    @answering.answers(methods.Conductor.object_backport_versions)
    def object_backport_versions(
        self,
        objinst: ovo_base.VersionedObject,
        object_versions: dict[str, str],
    ) -> Any:
        """Convert an object to the version that an older caller knows."""
        return objinst.obj_to_primitive(
            target_version=object_versions[objinst.obj_name()],
            version_manifest=object_versions,
        )


def _result(
    action: str, instance_uuid: str, devices: Sequence[objects.PciDevice]
) -> objects.ClaimResult:
    _log(action, instance_uuid, devices)
    return objects.ClaimResult(devices=list(devices), refusal=None, reasons=[])


def _log(
    action: str, instance_uuid: str, devices: Sequence[objects.PciDevice]
) -> None:
    LOG.info(
        '%s for instance %s: %s',
        action,
        instance_uuid,
        ', '.join(f'{d.host}/{d.address}' for d in devices) or 'nothing',
    )
