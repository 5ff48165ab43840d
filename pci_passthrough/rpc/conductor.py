# SPDX-License-Identifier: Apache-2.0
"""The conductors' interface, from the caller's side."""

from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import oslo_messaging

from pci_passthrough import claims
from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.rpc import caller

#: Most hosts that are named for each reason of a refusal.
_MOST_HOSTS = 20

#: Objects of a report as conductors of version 1.0 know them.
_REPORT_1_0 = {'HostReport': '1.0', 'PciDevice': '1.0'}


class ConductorClient(caller.Caller):
    """Calls any conductor.

    A broker that is away makes a call fail, with ``ConductorUnavailable``:
    at once if a connection to it was refused or broke, and after ``timeout``
    if there has not been any. The worst case is ``timeout`` and some 15
    seconds more: a broker that hangs while its connections stay open. Such a
    call was not sent, or nobody knows whether it was; it may be repeated.

    :param transport: from ``messaging.get_transport``, for this client
        alone; ``close`` closes it.
    :param timeout: seconds to wait for an answer.
    """

    def heartbeat(
        self, host: str, generation: int, digest: str
    ) -> objects.ReportAck:
        """Say that a host has nothing new.

        :param generation: of the host, as last acknowledged.
        :param digest: of the snapshot that was acknowledged.
        """
        ack: objects.ReportAck = self._call(
            'heartbeat', host=host, generation=generation, digest=digest
        )
        return ack

    def report(self, report: objects.HostReport) -> objects.ReportAck:
        """Send what a host offers, or what changed.

        A conductor of the release before, which is not upgraded yet or again
        in use, gets it without what it does not know.
        """
        ack: objects.ReportAck
        try:
            ack = self._call('report', report=report)
        except exception.ConductorUnavailable as error:
            cause = error.__cause__
            if (
                not isinstance(cause, oslo_messaging.RemoteError)
                or cause.exc_type != 'IncompatibleObjectVersion'
            ):
                raise
            older = report.obj_to_primitive('1.0', _REPORT_1_0)
            ack = self._call('report', report=older)
        return ack

    def claim(
        self,
        host: str,
        instance_uuid: str,
        requests: Sequence[objects.PciRequest],
        actor: str,
        numa: objects.NumaAffinity | None = None,
        project_id: str | None = None,
    ) -> list[objects.PciDevice]:
        """Hold devices for an instance; see ``store.claims.claim``.

        :raises: ClaimRefused and the other errors named there.
        """
        result = self._call(
            'claim',
            since=_since('1.0', requests),
            host=host,
            instance_uuid=instance_uuid,
            requests=_to_wire(requests),
            actor=actor,
            numa=numa,
            project_id=project_id,
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
        """Turn claims into allocations; see ``store.claims.allocate``."""
        return self._move('allocate', host, instance_uuid, actor, request_ids)

    def abort(
        self,
        host: str,
        instance_uuid: str,
        actor: str,
        request_ids: Collection[str] | None = None,
    ) -> list[objects.PciDevice]:
        """Give back claims; see ``store.claims.abort``."""
        return self._move('abort', host, instance_uuid, actor, request_ids)

    def free(
        self,
        host: str | None,
        instance_uuid: str,
        actor: str,
        request_ids: Collection[str] | None = None,
    ) -> list[objects.PciDevice]:
        """Give back all; see ``store.claims.free``."""
        return self._move('free', host, instance_uuid, actor, request_ids)

    def resolve(
        self,
        requests: Sequence[objects.PciRequest],
        project_id: str | None = None,
        take_disabled: bool = False,
    ) -> list[objects.ResolvedRequest]:
        """Look up the PCI flavors of requests; see ``store.resolving``.

        For a NIC, the answer has the vnic_type that its port gets.

        :param project_id: on whose behalf; None: the operator's.
        :param take_disabled: disabled ones count: the requests are those of
            an instance that was admitted long ago.
        :raises: PciFlavorNotFound, InvalidRequest
        """
        return list(
            self._call(
                'resolve',
                since=_since('1.1', requests),
                requests=_to_wire(requests),
                project_id=project_id,
                take_disabled=take_disabled,
            )
        )

    def offer(
        self,
        requests: Sequence[objects.PciRequest],
        hosts: Collection[str] | None,
        project_id: str | None = None,
        instance_uuid: str | None = None,
        tracked_only: bool = True,
    ) -> claims.SupplySnapshot:
        """Ask once what all candidate hosts could give an instance.

        :param requests: without any, everything that is free is offered.
        :param hosts: names; None: all.
        :param project_id: on whose behalf; None: the operator's.
        :param instance_uuid: whose requests they are, if that is known: PCI
            flavors by which it holds devices serve it in any case.
        :param tracked_only: only hosts whose resource tracker has registered
            recently. False for a tracker that asks about its own host.
        :raises: PciFlavorNotFound, InvalidRequest
        """
        return claims.SupplySnapshot.from_wire(
            self._call(
                'offer',
                since=_since('1.1', requests),
                requests=_to_wire(requests),
                hosts=None if hosts is None else sorted(hosts),
                project_id=project_id,
                instance_uuid=instance_uuid,
                tracked_only=tracked_only,
            )
        )

    def hosts_with_devices(self) -> list[str]:
        """Return the names of hosts that offer devices, be they free or not.

        Better filled with other instances when these need no devices.
        """
        return list(self._call('hosts_with_devices', since='1.1'))

    def register_tracker(self, host: str, version: str) -> objects.TrackerAck:
        """Say that a host's resource tracker takes requests of ours.

        :param version: of this project, there.
        :returns: with what the instances of the host hold.
        :raises: Invalid if the version cannot be kept.
        """
        ack: objects.TrackerAck = self._call(
            'register_tracker', since='1.1', host=host, version=version
        )
        return ack

    def host_devices(self, host: str) -> list[objects.PciDevice]:
        """Return a host's devices that are offered or held, by address."""
        return list(self._call('host_devices', since='1.1', host=host))

    def adopt(
        self,
        host: str,
        instance_uuid: str,
        request_id: str,
        addresses: Collection[str],
        actor: str,
        pci_flavor_uuid: str | None = None,
    ) -> list[objects.PciDevice]:
        """Record that an instance has devices; see ``store.adoption``."""
        return list(
            self._call(
                'adopt',
                since='1.1',
                host=host,
                instance_uuid=instance_uuid,
                request_id=request_id,
                addresses=sorted(addresses),
                actor=actor,
                pci_flavor_uuid=pci_flavor_uuid,
            )
        )

    def note_refusals(
        self,
        instance_uuid: str,
        summary: str,
        reasons: Mapping[str, Collection[str]],
        requests: str,
    ) -> None:
        """Have it kept why hosts were refused; return at once.

        Nobody waits for it: that it could not be sent is logged, later.

        :param summary: one line, as of ``claims.summarize_hosts``.
        :param reasons: reason to hosts, from ``SupplySnapshot.refused``. Some
            hosts are named for each, all are counted.
        :param requests: the requests, as people write them.
        """
        self._outbox.put(
            'note_refusals',
            {
                'refusal': objects.SchedulingRefusal(
                    instance_uuid=instance_uuid,
                    summary=summary,
                    reasons=[
                        [what, len(hosts), sorted(hosts)[:_MOST_HOSTS]]
                        for what, hosts in sorted(reasons.items())
                    ],
                    requests=requests,
                    created_at=None,
                )
            },
        )

    def create_pci_flavor(
        self,
        name: str,
        project_id: str | None,
        values: Mapping[str, Any],
        actor: str,
    ) -> objects.PciFlavor:
        """Add a PCI flavor; see ``store.pci_flavors.create``.

        :param actor: who does it, for the conductor's log.
        :raises: InvalidPciFlavor, PciFlavorExists
        """
        flavor: objects.PciFlavor = self._call(
            'create_pci_flavor',
            since='1.2',
            name=name,
            project_id=project_id,
            values=dict(values),
            actor=actor,
        )
        return flavor

    def update_pci_flavor(
        self,
        name: str,
        changes: Mapping[str, Any],
        generation: int | None,
        force: bool,
        actor: str,
    ) -> objects.PciFlavor:
        """Change a PCI flavor; see ``store.pci_flavors.update``.

        :raises: PciFlavorNotFound, PciFlavorChanged, PciFlavorExists,
            PciFlavorInUse, InvalidPciFlavor
        """
        flavor: objects.PciFlavor = self._call(
            'update_pci_flavor',
            since='1.2',
            name=name,
            changes=dict(changes),
            generation=generation,
            force=force,
            actor=actor,
        )
        return flavor

    def delete_pci_flavor(
        self, name: str, generation: int | None, force: bool, actor: str
    ) -> int:
        """Delete a PCI flavor; see ``store.pci_flavors.delete``.

        :returns: how many devices are still held by it.
        :raises: PciFlavorNotFound, PciFlavorChanged, PciFlavorInUse,
            InvalidPciFlavor
        """
        return int(
            self._call(
                'delete_pci_flavor',
                since='1.2',
                name=name,
                generation=generation,
                force=force,
                actor=actor,
            )
        )

    def share_pci_flavor(
        self,
        name: str,
        project_id: str,
        shared: bool,
        actor: str,
        generation: int | None = None,
    ) -> objects.PciFlavor:
        """Share a PCI flavor or not; see ``store.pci_flavors.share``.

        :raises: PciFlavorNotFound, PciFlavorChanged, InvalidPciFlavor
        """
        flavor: objects.PciFlavor = self._call(
            'share_pci_flavor',
            since='1.2',
            name=name,
            project_id=project_id,
            shared=shared,
            actor=actor,
            generation=generation,
        )
        return flavor

    def set_device(
        self, device: str, action: str, reason: str, actor: str
    ) -> objects.PciDevice:
        """Do what an operator wants; see ``store.devices.act``.

        :raises: PciDeviceNotFound, DeviceStateConflict, Invalid
        """
        after: objects.PciDevice = self._call(
            'set_device',
            since='1.2',
            device=device,
            action=action,
            reason=reason,
            actor=actor,
        )
        return after

    def _move(
        self,
        method: str,
        host: str | None,
        instance_uuid: str,
        actor: str,
        request_ids: Collection[str] | None,
    ) -> list[objects.PciDevice]:
        result = self._call(
            method,
            host=host,
            instance_uuid=instance_uuid,
            actor=actor,
            request_ids=None if request_ids is None else sorted(request_ids),
        )
        return list(result.devices)


def _since(version: str, requests: Iterable[objects.PciRequest]) -> str:
    """Return the version of the interface that a call with requests needs.

    :param version: what it needs if none of them is for a NIC.
    """
    return '1.3' if any(map(_is_for_nic, requests)) else version


def _to_wire(
    requests: Iterable[objects.PciRequest],
) -> list[objects.PciRequest | dict[str, Any]]:
    """Return requests as they are sent.

    Those that conductors of 1.0 can serve are sent as they know them. A
    request for a NIC never is: they would not look at its network.
    """
    return [
        request if _is_for_nic(request) else request.obj_to_primitive('1.0')
        for request in requests
    ]


def _is_for_nic(request: objects.PciRequest) -> bool:
    return request.get('nic') is not None
