# SPDX-License-Identifier: Apache-2.0
"""Replaces nova.pci.manager.PciDevTracker: claims devices for PCI flavors.

Nova's resource tracker makes one for its host when nova-compute starts, and
calls it under the lock of all claims (``COMPUTE_RESOURCE_SEMAPHORE``).

Requests for PCI flavors get devices from the conductor. Nova's tracker, from
which this one is derived, serves all other requests. Claims, allocations and
frees change attachments in memory. Nova calls ``save`` at the end of each
operation: that writes the rows first, then calls the conductor. If
nova-compute ends in between, or no conductor answers, ``repair`` makes both
agree later.

Attachments (see ``attachment``) are never among ``pci_devs``: Nova compares
those with ``[pci] device_spec`` and reports them to Placement.
"""

from collections.abc import Callable
from typing import Any

from oslo_log import log as logging
from oslo_serialization import jsonutils

from pci_passthrough import objects
from pci_passthrough.nova_plugin import loaded
from pci_passthrough.nova_plugin import requests
from pci_passthrough.nova_plugin.compat import pci
from pci_passthrough.nova_plugin.compat import tracker as nova_tracker
from pci_passthrough.nova_plugin.compute import attachment
from pci_passthrough.nova_plugin.compute import attachments
from pci_passthrough.nova_plugin.compute import claimer
from pci_passthrough.nova_plugin.compute import device_spec
from pci_passthrough.nova_plugin.compute import host_conductor
from pci_passthrough.nova_plugin.compute import matched_twice
from pci_passthrough.nova_plugin.compute import move_requests
from pci_passthrough.nova_plugin.compute import nova_rows
from pci_passthrough.nova_plugin.compute import own_supply
from pci_passthrough.nova_plugin.compute import own_vgpus
from pci_passthrough.nova_plugin.compute import repair
from pci_passthrough.nova_plugin.install import bootstrap

LOG = logging.getLogger(__name__)


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
            self.dev_filter,
            self._conductor,
            own_vgpus.OwnVgpus(bootstrap.nova_conf()),
        )
        rows = list(self.pci_devs)
        self._attachments = attachments.Attachments(
            [row for row in rows if attachment.is_attachment(row)],
            self._conductor,
        )
        parts = self, self._conductor, self._attachments, self._device_spec
        self._claimer = claimer.Claimer(*parts)
        self._repairer = repair.Repairer(*parts)
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
            attached = self._claimer.claim(
                instance_uuid, wanted, instance_numa_topology
            )
        except Exception:
            for row in native:
                nova_rows.drop(self.claims, instance_uuid, row)
                self._free_device(row)
            raise
        return [*native, *(row for new in attached for row in new.rows)]

    def allocate_instance(self, instance: Any) -> None:
        """Turn the claims of an instance into allocations."""
        super().allocate_instance(instance)
        for claimed in self._attachments.of(instance['uuid'], allocated=False):
            claimed.allocate(instance)

    def holds_devices(self, instance_uuid: str) -> bool:
        """Whether an instance holds devices; needs no lock of Nova."""
        return bool(self._attachments.of(instance_uuid))

    def rowless_of(self, instance_uuid: str) -> list[objects.PciDevice] | None:
        """Return the devices without rows of Nova that an instance holds.

        It needs no lock of Nova.

        :returns: None if they are not known: no conductor has answered since
            nova-compute started.
        """
        if not self._attachments.is_complete:
            return None
        return self._attachments.rowless_of(instance_uuid)

    # -- free --

    def free_device(self, dev: Any, instance: Any) -> None:
        """Free one device of an instance.

        Nova calls it when an interface is detached, and after a move.

        :param dev: a copy of the device's row, which may be old.
        """
        for attached in self._attachments.of(instance['uuid']):
            if attached.has_row(dev):
                self._release(attached)
                return
        super().free_device(dev, instance)

    def free_side_of_move(self, instance: Any, prefix: str) -> None:
        """Free the devices that an instance has on one side of a move.

        Called at the end of the move, after Nova has freed those with rows.

        :param prefix: ``old_`` or ``new_``.
        """
        held = self._attachments.of(instance['uuid'])
        if held:
            ended = move_requests.ids_of_side(instance, prefix)
            for attached in held:
                if attached.request_id in ended:
                    self._release(attached)

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
        self, attached: attachments.AnyAttachment, instance: Any = None
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
            projects = {
                instance.uuid: project_id
                for instance in instances
                if (project_id := loaded.attribute(instance, 'project_id'))
            }
            self._repairer.repair(ack, projects)
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
            *(row for known in self._attachments for row in known.rows),
        ]
