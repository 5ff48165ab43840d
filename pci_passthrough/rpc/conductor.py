# SPDX-License-Identifier: Apache-2.0
"""The client of the conductors: a typed method for each RPC method."""

from collections.abc import Collection
from collections.abc import Mapping
from collections.abc import Sequence
import functools
from typing import Any

from pci_passthrough import claims
from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.rpc import methods
from pci_passthrough.rpc import older_conductors
from pci_passthrough.rpc import preparations
from pci_passthrough.rpc import refusals

#: Objects of a report in the versions that conductors of 1.0 know.
_REPORT_1_0 = {'HostReport': '1.0', 'PciDevice': '1.0'}


class ConductorClient(preparations.PreparationCalls, refusals.RefusalCalls):
    """Calls any conductor.

    While the broker is down, a call raises ``ConductorUnavailable``: at once
    if the broker refused or closed a connection, and after ``timeout`` if
    there has been none. A broker that hangs with its connections open is the
    worst case: ``timeout`` and some 15 seconds more. After such an error
    nobody knows whether the call was executed; it is safe to repeat it.

    :param transport: from ``messaging.get_transport``, for this client
        alone; ``close`` closes it.
    :param timeout: seconds to wait for an answer.
    """

    def heartbeat(
        self, host: str, generation: int, digest: str
    ) -> objects.ReportAck:
        """Report that a host's devices have not changed.

        :param generation: of the host, as last acknowledged.
        :param digest: of the snapshot that was acknowledged.
        """
        return self._call(
            methods.Conductor.heartbeat, host, generation, digest
        )

    def report(self, report: objects.HostReport) -> objects.ReportAck:
        """Report all devices of a host, or the changes since a report.

        A conductor of an earlier release, not upgraded yet or downgraded,
        gets the report in the version that it knows.
        """
        return older_conductors.send(
            lambda sent: self._call(methods.Conductor.report, sent),
            report,
            _REPORT_1_0,
        )

    def claim(self, request: claims.ClaimRequest) -> list[objects.PciDevice]:
        """Claim devices of a host for an instance.

        A conductor of an earlier release does not record the instance's
        project.

        :raises: ClaimRefused and the other errors of
            ``store.claims.claiming.claim``.
        """
        method = older_conductors.method_for(
            methods.Conductor.claim, request.requests
        )
        result = older_conductors.with_project(
            functools.partial(
                self._call,
                host=request.host,
                instance_uuid=request.instance_uuid,
                requests=older_conductors.readable_requests(request.requests),
                actor=request.actor,
                numa=request.numa,
                project_id=request.project_id,
            ),
            method,
            request.owner_project_id is not None,
            owner_project_id=request.owner_project_id,
            replaces=request.replaces,
        )
        if result.refusal is not None:
            raise exception.ClaimRefused(result.refusal, result.reasons)
        return list(result.devices)

    def allocate(
        self,
        host: str,
        instance_uuid: str,
        actor: str,
        request_ids: Collection[str] | None = None,
    ) -> list[objects.PciDevice]:
        """Turn an instance's claims on a host into allocations.

        :param request_ids: only the claims for these requests; None means
            all.
        :raises: the errors of ``store.claims.transitions.allocate``.
        """
        result = self._call(
            methods.Conductor.allocate,
            host,
            instance_uuid,
            actor,
            _sorted(request_ids),
        )
        return list(result.devices)

    def abort(
        self,
        host: str,
        instance_uuid: str,
        actor: str,
        request_ids: Collection[str] | None = None,
    ) -> list[objects.PciDevice]:
        """Give back claimed devices that are not allocated yet.

        :param request_ids: only the claims for these requests; None means
            all.
        :raises: the errors of ``store.claims.transitions.abort``.
        """
        result = self._call(
            methods.Conductor.abort,
            host,
            instance_uuid,
            actor,
            _sorted(request_ids),
        )
        return list(result.devices)

    def free(
        self,
        host: str | None,
        instance_uuid: str,
        actor: str,
        request_ids: Collection[str] | None = None,
    ) -> list[objects.PciDevice]:
        """Give back an instance's devices, claimed or allocated.

        :param host: None means on every host.
        :param request_ids: only devices for these requests; None means all.
        :raises: the errors of ``store.claims.transitions.free``.
        """
        result = self._call(
            methods.Conductor.free,
            host,
            instance_uuid,
            actor,
            _sorted(request_ids),
        )
        return list(result.devices)

    def resolve(
        self,
        requests: Sequence[objects.PciRequest],
        project_id: str | None = None,
        take_disabled: bool = False,
    ) -> list[objects.ResolvedRequest]:
        """Look up the PCI flavors that requests name.

        For a NIC, the answer has the vnic_type that its port gets.

        :param project_id: the project that requests; None means the operator.
        :param take_disabled: whether disabled PCI flavors are accepted, for
            requests of an instance that was admitted earlier.
        :raises: PciFlavorNotFound, InvalidRequest
        """
        return self._call(
            older_conductors.method_for(methods.Conductor.resolve, requests),
            older_conductors.readable_requests(requests),
            project_id,
            take_disabled,
        )

    def offer(
        self,
        requests: Sequence[objects.PciRequest],
        hosts: Collection[str] | None,
        project_id: str | None = None,
        instance_uuid: str | None = None,
        tracked_only: bool = True,
    ) -> claims.SupplySnapshot:
        """Return the free devices of candidate hosts for an instance.

        :param requests: the instance's requests; without any, the snapshot
            has everything that is free.
        :param hosts: host names; None means all hosts.
        :param project_id: the project that requests; None means the operator.
        :param instance_uuid: the instance, if known: PCI flavors by which it
            holds devices already serve it in any case.
        :param tracked_only: whether hosts are left out whose resource tracker
            has not registered recently. False for a tracker that asks about
            its own host.
        :raises: PciFlavorNotFound, InvalidRequest
        """
        return claims.SupplySnapshot.from_wire(
            self._call(
                older_conductors.method_for(methods.Conductor.offer, requests),
                older_conductors.readable_requests(requests),
                _sorted(hosts),
                project_id,
                instance_uuid,
                tracked_only,
            )
        )

    def check_quota(
        self,
        project_id: str,
        requests: Sequence[objects.PciRequest],
        servers: int = 1,
        instance_uuid: str | None = None,
        host: str | None = None,
        replaces: bool = False,
    ) -> objects.QuotaAnswer:
        """Check requests of a project against its limits, before any claim.

        A conductor of an earlier release knows no limits.

        :param requests: those of one server.
        :param servers: how many equal servers are wanted.
        :param instance_uuid: the instance, if it exists already.
        :param host: the host of that instance.
        :param replaces: whether it gives its other devices back.
        :raises: LimitsUnknown, PciFlavorNotFound, InvalidRequest
        """
        return older_conductors.answer_or(
            objects.QuotaAnswer(servers=servers, excesses=[]),
            lambda: self._call(
                methods.Conductor.check_quota,
                project_id,
                list(requests),
                servers,
                instance_uuid,
                host,
                replaces,
            ),
        )

    def project_limits(
        self, project_ids: Collection[str], pci_flavors: Collection[str]
    ) -> dict[str, dict[str, int]]:
        """Return limits by project and name of a PCI flavor.

        PCI flavors without a limit are left out.

        :raises: LimitsUnknown
        """
        return self._call(
            methods.Conductor.project_limits,
            sorted(project_ids),
            sorted(pci_flavors),
        )

    def hosts_with_devices(self) -> list[str]:
        """Return the names of hosts that offer devices, free or held.

        The weigher avoids these hosts for instances that need no devices.
        """
        return self._call(methods.Conductor.hosts_with_devices)

    def free_by_numa_node(self) -> dict[str, dict[int, int]]:
        """Return the numbers of free devices by host and NUMA node.

        Instances that need no devices avoid these nodes.
        """
        hosts = self._call(methods.Conductor.free_by_numa_node)
        return {h: {n: count for n, count in hosts[h]} for h in hosts}

    def register_tracker(self, host: str, version: str) -> objects.TrackerAck:
        """Register a host's resource tracker, which accepts our requests.

        :param version: the version of this project on the host.
        :returns: also the devices that the host's instances hold.
        :raises: Invalid if the version cannot be stored.
        """
        return self._call(methods.Conductor.register_tracker, host, version)

    def host_devices(self, host: str) -> list[objects.PciDevice]:
        """Return a host's devices that are offered or held, by address."""
        return self._call(methods.Conductor.host_devices, host)

    def given_out(self, host: str) -> list[str]:
        """Return the addresses of a host's devices that instances have had."""
        return self._call(methods.Conductor.given_out, host)

    def adopt(
        self,
        host: str,
        instance_uuid: str,
        request_id: str,
        addresses: Collection[str],
        actor: str,
        pci_flavor_uuid: str | None = None,
        project_id: str | None = None,
    ) -> list[objects.PciDevice]:
        """Record that an instance has devices already.

        A conductor of an earlier release does not record the project.

        :raises: the errors of ``store.claims.adoption.adopt``.
        """
        return older_conductors.with_project(
            functools.partial(
                self._call,
                host=host,
                instance_uuid=instance_uuid,
                request_id=request_id,
                addresses=sorted(addresses),
                actor=actor,
                pci_flavor_uuid=pci_flavor_uuid,
            ),
            methods.Conductor.adopt,
            project_id is not None,
            project_id=project_id,
        )

    def note_repair(
        self,
        host: str,
        instance_uuid: str,
        addresses: Collection[str],
        repair: str,
        actor: str,
    ) -> None:
        """Record what nova-compute has repaired.

        A conductor of an earlier release records nothing.

        :param addresses: the devices' addresses.
        :param repair: one of ``fields.Repair``.
        :raises: InvalidRequest
        """
        older_conductors.answer_or(
            None,
            lambda: self._call(
                methods.Conductor.note_repair,
                host,
                instance_uuid,
                sorted(addresses),
                repair,
                actor,
            ),
        )

    def create_pci_flavor(
        self,
        name: str,
        project_id: str | None,
        values: Mapping[str, Any],
        actor: str,
    ) -> objects.PciFlavor:
        """Create a PCI flavor.

        :param project_id: its owner; None means the operator.
        :param values: its other fields; see ``store.pci_flavors.validation``.
        :param actor: the user, for the conductor's log.
        :raises: InvalidPciFlavor, PciFlavorExists
        """
        return self._call(
            methods.Conductor.create_pci_flavor,
            name,
            project_id,
            dict(values),
            actor,
        )

    def update_pci_flavor(
        self,
        name: str,
        changes: Mapping[str, Any],
        generation: int | None,
        force: bool,
        actor: str,
    ) -> objects.PciFlavor:
        """Change a PCI flavor; see ``store.pci_flavors.editing.update``.

        :raises: PciFlavorNotFound, PciFlavorChanged, PciFlavorExists,
            PciFlavorInUse, InvalidPciFlavor
        """
        return self._call(
            methods.Conductor.update_pci_flavor,
            name,
            dict(changes),
            generation,
            force,
            actor,
        )

    def delete_pci_flavor(
        self, name: str, generation: int | None, force: bool, actor: str
    ) -> int:
        """Delete a PCI flavor; see ``store.pci_flavors.editing.delete``.

        :returns: the number of devices that are still held by it.
        :raises: PciFlavorNotFound, PciFlavorChanged, PciFlavorInUse,
            InvalidPciFlavor
        """
        return self._call(
            methods.Conductor.delete_pci_flavor, name, generation, force, actor
        )

    def share_pci_flavor(
        self,
        name: str,
        project_id: str,
        shared: bool,
        actor: str,
        generation: int | None = None,
    ) -> objects.PciFlavor:
        """Give a project access to a PCI flavor, or withdraw it.

        :raises: PciFlavorNotFound, PciFlavorChanged, InvalidPciFlavor
        """
        return self._call(
            methods.Conductor.share_pci_flavor,
            name,
            project_id,
            shared,
            actor,
            generation,
        )

    def set_device(
        self, device: str, action: str, reason: str, actor: str
    ) -> objects.PciDevice:
        """Carry out an operator's action; see ``store.devices.operators.act``.

        :raises: PciDeviceNotFound, DeviceStateConflict, Invalid
        """
        return self._call(
            methods.Conductor.set_device, device, action, reason, actor
        )

    def resolve_device(
        self, device: str, moved_to: str | None, reason: str, actor: str
    ) -> objects.PciDevice:
        """Resolve a conflict; see ``store.devices.resolving.resolve``.

        :raises: PciDeviceNotFound, DeviceStateConflict, Invalid
        """
        return self._call(
            methods.Conductor.resolve_device, device, moved_to, reason, actor
        )

    def forget_host(
        self, host: str, force: bool, reason: str, actor: str
    ) -> int:
        """Delete a host; see ``store.host_changes.forget``.

        :returns: how many devices instances held.
        :raises: HostNotFound, HostIsUp, HostInUse, HostOutOfService, Invalid
        """
        return self._call(
            methods.Conductor.forget_host, host, force, reason, actor
        )


def _sorted(names: Collection[str] | None) -> list[str] | None:
    return None if names is None else sorted(names)
