# SPDX-License-Identifier: Apache-2.0
"""Replaces nova.pci.manager.PciDevTracker: claims devices for PCI flavors.

Nova's resource tracker makes one for its host when nova-compute starts, and
calls it under the lock of all claims (``COMPUTE_RESOURCE_SEMAPHORE``).

Requests for PCI flavors get devices from the conductor. Nova's tracker, from
which this one is derived, serves all other requests. Claims, allocations and
frees change rows in memory. Nova calls ``save`` at the end of each operation:
that writes the rows first, then calls the conductor. If nova-compute ends in
between, or no conductor answers, ``repair`` makes both agree later.

Attachments (see ``attachment``) are never among ``pci_devs``: Nova compares
those with ``[pci] device_spec`` and reports them to Placement.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from oslo_log import log as logging
from oslo_serialization import jsonutils

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.nova_plugin import flavor_requests
from pci_passthrough.nova_plugin import requests
from pci_passthrough.nova_plugin.compat import pci
from pci_passthrough.nova_plugin.compat import tracker as nova_tracker
from pci_passthrough.nova_plugin.compute import attachment
from pci_passthrough.nova_plugin.compute import attachments
from pci_passthrough.nova_plugin.compute import device_spec
from pci_passthrough.nova_plugin.compute import host_conductor
from pci_passthrough.nova_plugin.compute import matched_twice
from pci_passthrough.nova_plugin.compute import nova_rows
from pci_passthrough.nova_plugin.compute import own_supply
from pci_passthrough.nova_plugin.compute import repair
from pci_passthrough.nova_plugin.install import bootstrap

LOG = logging.getLogger(__name__)

#: Projects see this text in the fault of an instance. The reason may name
#: other instances and the host's configuration, so only the log has it.
_CANNOT_CLAIM = 'devices for the PCI flavors cannot be claimed on this host'


class PciFlavorDevTracker(nova_tracker.PciDevTracker):
    """Nova's PCI device tracker, extended by devices for PCI flavors.

    :ivar own_supply: free devices of this host, for the test of a claim.
    """

    #: Nova's pools, and the conductor's supply of this host
    stats: Any

    def __init__(self, context: Any, compute_node: Any) -> None:
        named = 'host' in compute_node and compute_node.host
        self._conductor = host_conductor.HostConductor(
            named or bootstrap.nova_conf().host
        )
        self.own_supply = own_supply.OwnSupply(self._conductor)
        super().__init__(context, compute_node)

    # -- start --

    def _initial_instance_usage(self) -> None:
        """Sort the rows of this host; called by Nova's ``__init__``."""
        self.stats = self.own_supply.beside(self.stats)
        self._device_spec = device_spec.DeviceSpec(
            self.dev_filter, self._conductor
        )
        rows = list(self.pci_devs)
        self._attachments = attachments.Attachments(
            [row for row in rows if attachment.is_attachment(row)],
            self._conductor,
        )
        self._repairer = repair.Repairer(
            self, self._conductor, self._attachments, self._device_spec
        )
        nova_rows.set_rows(
            self, [row for row in rows if not attachment.is_attachment(row)]
        )
        super()._initial_instance_usage()
        ack = None if self._is_for_ironic else self._conductor.register()
        if ack is not None:
            self._repairer.take_over_devices(ack)

    def update_devices_from_hypervisor_resources(
        self, devices_json: str
    ) -> None:
        """Let Nova's tracker see the host's devices without attachments.

        Nova calls it once, when nova-compute starts.

        :raises MatchedTwice: Nova's configuration and pci_information both
            match a device.
        """
        attached = {known.address for known in self._attachments}
        devices = jsonutils.loads(devices_json)
        super().update_devices_from_hypervisor_resources(
            jsonutils.dumps(
                [
                    device
                    for device in devices
                    if device['address'] not in attached
                ]
            )
        )
        twice = self._device_spec.matched_twice(self._all_rows())
        if twice:
            text = (
                'nova-compute does not start: PCI devices could be promised '
                f'twice. {matched_twice.describe(twice)}'
            )
            LOG.critical('%s', text)
            raise matched_twice.MatchedTwice(text)

    def ask_for_guests(self, may_run: Callable[[str], bool]) -> None:
        """Set the function that tells whether an instance's guest may run."""
        self._repairer.may_run = may_run

    # -- claim --

    def claim_instance(
        self,
        context: Any,
        pci_requests: Any,
        instance_numa_topology: Any,
    ) -> list[Any]:
        """Claim devices for all requests of an instance or for none.

        Nova calls it for a new instance, a move to this host and an interface
        that is attached.

        :returns: Nova's rows of the claimed devices.
        :raises ComputeResourcesUnavailable: a request for PCI flavors cannot
            be served. It is Nova's class, because nova-conductor gets it.
        """
        wanted = requests.for_pci_flavors(pci_requests.requests)
        if not wanted:
            rows: list[Any] = super().claim_instance(
                context, pci_requests, instance_numa_topology
            )
            return rows
        instance_uuid = pci_requests.instance_uuid
        native_requests = pci.InstancePCIRequests(
            instance_uuid=instance_uuid,
            requests=requests.native(pci_requests.requests),
        )
        native = super().claim_instance(
            context, native_requests, instance_numa_topology
        )
        try:
            attached = self._claim(
                instance_uuid, wanted, instance_numa_topology
            )
        except Exception:
            for row in native:
                nova_rows.drop(self.claims, instance_uuid, row)
                self._free_device(row)
            raise
        return [*native, *(claimed.row for claimed in attached)]

    def _claim(
        self, instance_uuid: str, wanted: Sequence[Any], numa_topology: Any
    ) -> list[attachment.Attachment]:
        """Claim devices by the conductor, and make their attachments."""
        by_claim = {
            self._claim_id(instance_uuid, request.request_id): request
            for request in wanted
        }
        devices = self._claim_devices(instance_uuid, by_claim, numa_topology)
        attached: list[attachment.Attachment] = []
        try:
            self._check_unused(instance_uuid, devices)
            for device in devices:
                attached.append(self._attach(device))
        except Exception:
            self._abort_claim(instance_uuid, by_claim, attached)
            raise
        for claimed in attached:
            self._attachments.add(claimed)
        return attached

    def _claim_devices(
        self,
        instance_uuid: str,
        by_claim: Mapping[str, Any],
        numa_topology: Any,
    ) -> list[objects.PciDevice]:
        """Claim devices by the conductor.

        :param by_claim: claim id to Nova's request.
        :raises ComputeResourcesUnavailable: the conductor refuses the claim,
            or does not answer.
        """
        self.own_supply.forget()
        try:
            return self._conductor.claim(
                instance_uuid,
                [
                    requests.to_pci_request(request).replace(request_id=claim)
                    for claim, request in by_claim.items()
                ],
                self.stats.affinity(numa_topology and numa_topology.cells),
            )
        except exception.ClaimRefused as error:
            raise pci.ComputeResourcesUnavailable(reason=error.text) from error
        except exception.PciPassthroughError as error:
            LOG.error(
                'The claim of instance %s failed: %s',
                instance_uuid,
                error.text,
            )
            raise pci.ComputeResourcesUnavailable(
                reason=_CANNOT_CLAIM
            ) from error

    def _claim_id(self, instance_uuid: str, request_id: str) -> str:
        """Return the id by which the conductor knows a request."""
        if flavor_requests.moving_instance_uuid() == instance_uuid:
            # A resize within the host keeps the requests of Neutron ports,
            # and gets other devices for them, beside the old ones.
            return self._attachments.new_claim_id(instance_uuid, request_id)
        # A live migration to this host that failed may have left a claim with
        # this id: the conductor gives the same devices again.
        return request_id

    def _attach(self, device: objects.PciDevice) -> attachment.Attachment:
        return self._attachments.at(
            device.address
        ) or attachment.Attachment.claimed(self._context, self.node_id, device)

    def _check_unused(
        self, instance_uuid: str, devices: Iterable[objects.PciDevice]
    ) -> None:
        """Check that claimed devices are not in use by anybody else.

        :raises ComputeResourcesUnavailable: Nova's tracker has one of them,
            or another instance or claim.
        """
        twice = self._device_spec.native_devices(self.pci_devs, devices)
        reasons = [matched_twice.describe(twice)] if twice else []
        for device in devices:
            known = self._attachments.at(device.address)
            if known and (
                known not in self._attachments.of(instance_uuid)
                or known.claim_id != device.request_id
            ):
                reasons.append(
                    f'instance {known.instance_uuid} has {device.address}'
                )
        if reasons:
            LOG.error(
                'Aborting the claim of instance %(uuid)s: device already in '
                'use: %(reasons)s',
                {'uuid': instance_uuid, 'reasons': '; '.join(reasons)},
            )
            raise pci.ComputeResourcesUnavailable(reason=_CANNOT_CLAIM)

    def _abort_claim(
        self,
        instance_uuid: str,
        claims: Iterable[str],
        attached: Iterable[attachment.Attachment],
    ) -> None:
        """Return the devices of a claim that failed after the conductor's.

        :param attached: attachments that exist by now.
        """
        for claimed in attached:
            claimed.release()
            # The conductor's abort below frees the device.
            claimed.instance_uuid = None
            self._attachments.add(claimed)
        try:
            # The devices cannot be claimed again before the rows are deleted.
            self._attachments.save(self._context)
        except Exception:
            # The next operation on the host saves again. The caller raises
            # the reason why the claim failed.
            LOG.exception(
                "Could not delete Nova's PCI device records of the failed "
                'claim of instance %s; retrying with the next operation on '
                'this host',
                instance_uuid,
            )
        self._conductor.abort(instance_uuid, sorted(claims))

    def allocate_instance(self, instance: Any) -> None:
        """Turn the claims of an instance into allocations."""
        super().allocate_instance(instance)
        for claimed in self._attachments.of(instance['uuid'], allocated=False):
            claimed.allocate(instance)

    def holds_devices(self, instance_uuid: str) -> bool:
        """Whether an instance holds devices; needs no lock of Nova."""
        return bool(self._attachments.of(instance_uuid))

    # -- free --

    def free_device(self, dev: Any, instance: Any) -> None:
        """Free one device of an instance.

        Nova calls it when an interface is detached, and after a move.

        :param dev: a copy of the device's row, which may be old.
        """
        for attached in self._attachments.of(instance['uuid']):
            row = attached.row
            if dev.id == row.id or (
                (dev.compute_node_id, dev.address, dev.request_id)
                == (row.compute_node_id, row.address, row.request_id)
            ):
                self._release(attached)
                return
        super().free_device(dev, instance)

    def free_instance_allocations(self, context: Any, instance: Any) -> None:
        """Free the devices that are allocated to an instance."""
        super().free_instance_allocations(context, instance)
        for attached in self._attachments.of(instance['uuid'], allocated=True):
            self._release(attached, instance)

    def free_instance_claims(self, context: Any, instance: Any) -> None:
        """Free the devices that are claimed for an instance."""
        super().free_instance_claims(context, instance)
        for claimed in self._attachments.of(instance['uuid'], allocated=False):
            self._release(claimed, instance)

    def update_pci_for_instance(
        self, context: Any, instance: Any, sign: int
    ) -> None:
        """Allocate or free all devices of an instance.

        Nova's method does nothing on a host without native devices.

        :param sign: 1 to allocate, -1 to free.
        """
        if sign == -1:
            self.free_instance(context, instance)
        if sign == 1:
            self.allocate_instance(instance)

    def _release(
        self, attached: attachment.Attachment, instance: Any = None
    ) -> None:
        attached.release(instance)
        self.own_supply.forget()

    def save(self, context: Any) -> None:
        """Save changed rows, then report claims to the conductor.

        Nova calls it at the end of each operation on this host.
        """
        super().save(context)
        self._attachments.save(context)

    # -- the periodic task --

    def clean_usage(self, instances: Any, migrations: Any) -> None:
        """Free devices of instances that are gone, and repair differences.

        Nova calls it at the end of its start, and in each run of the periodic
        task ``update_available_resource``.
        """
        super().clean_usage(instances, migrations)
        if self._is_for_ironic:
            return
        # Before the devices below are released: the conductor still holds
        # them until their rows are deleted.
        ack = self._conductor.register()
        if ack is not None:
            self._repairer.repair(ack)
            self._device_spec.log_matched_twice(self._all_rows())
        for attached in self._repairer.ended(instances, migrations):
            self._release(attached)

    @property
    def _is_for_ironic(self) -> bool:
        """Whether the nodes of this nova-compute are not its own host.

        nova-compute for Ironic has one tracker and hundreds of nodes. Each
        node runs the periodic task, and none has devices for PCI flavors.
        """
        driver = str(bootstrap.nova_conf().compute_driver or '')
        return driver.startswith('ironic.')

    def _all_rows(self) -> list[Any]:
        return [
            *self.pci_devs,
            *(attached.row for attached in self._attachments),
        ]
