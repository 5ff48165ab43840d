# SPDX-License-Identifier: Apache-2.0
"""Carries out the repairs that ``reconcile`` plans, in nova-compute.

Nova's ``pci_devices`` rows and the conductor's claims are written one after
the other, so either process may end between the two writes. ``Repairer``
makes them agree again.
"""

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from oslo_log import log as logging

from pci_passthrough import objects
from pci_passthrough.nova_plugin import requests
from pci_passthrough.nova_plugin.compat import pci
from pci_passthrough.nova_plugin.compute import attachment
from pci_passthrough.nova_plugin.compute import attachments
from pci_passthrough.nova_plugin.compute import device_spec
from pci_passthrough.nova_plugin.compute import host_conductor
from pci_passthrough.nova_plugin.compute import move_requests
from pci_passthrough.nova_plugin.compute import nova_rows
from pci_passthrough.nova_plugin.compute import nova_view
from pci_passthrough.nova_plugin.compute import reconcile
from pci_passthrough.objects import fields

LOG = logging.getLogger(__name__)


class Repairer:
    """Makes Nova's rows and the conductor's claims of one host agree.

    ``PciFlavorDevTracker`` is the only caller: at its start, and in each run
    of nova-compute's periodic task, under Nova's lock of all claims
    (``COMPUTE_RESOURCE_SEMAPHORE``).

    Rows are changed in memory only; Nova saves them with the tracker. Calls
    to the conductor are made at once. None of them raises: the next run
    repeats what failed. Errors of Nova's database are raised.

    :param tracker: Nova's tracker, whose native rows may change.
    :param conductor: the conductor, for this host.
    :param held: the attachments of this host.
    :param spec: ``[pci] device_spec`` of this host.
    :ivar may_run: whether the guest of an instance may be running on this
        host; set when Nova's resource tracker is complete.
    """

    def __init__(
        self,
        tracker: Any,
        conductor: host_conductor.HostConductor,
        held: attachments.Attachments,
        spec: device_spec.DeviceSpec,
    ) -> None:
        self._tracker = tracker
        self._conductor = conductor
        self._attachments = held
        self._device_spec = spec
        self.may_run: Callable[[str], bool] = lambda instance_uuid: False
        #: Instances that may have too many devices after a crash.
        self._unsettled = {attached.instance_uuid for attached in held}

    def take_over_devices(self, ack: objects.TrackerAck) -> None:
        """Turn native rows of devices that are offered now into attachments.

        Called at start, before Nova warns of devices in use that ``[pci]
        device_spec`` does not match any more.

        :param ack: the conductor's answer to the tracker's registration.
        """
        self._remember(ack)
        self._take_over(self._plan(ack).take_over)

    def repair(
        self, ack: objects.TrackerAck, projects: Mapping[str, str]
    ) -> None:
        """Compare both views of this host, and repair what differs.

        Called by each periodic task.

        :param ack: the conductor's answer to the tracker's registration.
        :param projects: instances of this host to their projects.
        """
        self._remember(ack)
        self._follow(reconcile.moved(ack.held, self._rows()))
        plan = self._plan(ack)
        self._free(plan.free)
        for instance_uuid, claims in plan.allocate.items():
            devices = self._conductor.allocate(instance_uuid, claims)
            self._note(fields.Repair.ALLOCATE, instance_uuid, devices or ())
        self._adopt(plan.adopt, projects)
        self._restore(plan.restore)
        self._take_over(plan.take_over)
        self._hand_back(plan.hand_back)
        self._tell_projects(ack.held, projects)

    def _remember(self, ack: objects.TrackerAck) -> None:
        """Know the devices again of which only the conductor has a record."""
        self._unsettled |= {
            attached.instance_uuid
            for attached in self._attachments.remember(ack.held)
        }

    def ended(
        self, instances: Iterable[Any], migrations: Iterable[Any]
    ) -> list[attachments.AnyAttachment]:
        """Return the attachments of devices that instances no longer have.

        The caller releases them.

        :param instances: all instances of this host.
        :param migrations: all moves to and from this host that are going on
            or have failed.
        """
        wanted = self._settled_requests(
            instances, {migration.instance_uuid for migration in migrations}
        )
        known = {instance.uuid for instance in instances} | {
            migration.instance_uuid
            for migration in migrations
            if not pci.has_failed(migration)
        }
        held = self._rows()
        rows = [
            *reconcile.ended(held, known, wanted),
            *reconcile.unwanted(held, self._own_requests(instances, held)),
        ]
        left = {
            instance_uuid: self._has_left(instance_uuid, migrations)
            for instance_uuid in {row.instance_uuid for row in rows} - known
        }
        attached = []
        for row in dict.fromkeys(rows):
            if not left.get(row.instance_uuid, True):
                continue
            LOG.info(
                'Freeing device %(address)s: instance %(uuid)s does not have '
                'it any more',
                {'uuid': row.instance_uuid, 'address': row.address},
            )
            attached.append(self._attachment_of(row))
            self._note(fields.Repair.END, row.instance_uuid, [row])
        return attached

    def _has_left(self, instance_uuid: str, migrations: Iterable[Any]) -> bool:
        """Whether an instance that is not on this host has left its devices.

        :param migrations: all moves to and from this host.
        """
        at = pci.whereabouts_of(self._tracker._context, instance_uuid)
        if at is not None:
            if at.is_migrating_live:
                return False
            failed = [
                reconcile.FailedMove(
                    migration.id,
                    migration.source_compute,
                    migration.dest_compute,
                    migration.is_live_migration,
                )
                for migration in migrations
                if migration.instance_uuid == instance_uuid
            ]
            if not reconcile.has_left(
                self._conductor.host,
                at.host,
                at.is_broken,
                at.migration_id,
                failed,
            ):
                return False
        if self.may_run(instance_uuid):
            LOG.warning(
                'Devices of instance %s stay held: it is not on this host any '
                'more, and its guest is still running here',
                instance_uuid,
            )
            return False
        return True

    def _settled_requests(
        self, instances: Iterable[Any], moving: set[str]
    ) -> Mapping[str, set[str]]:
        """Return the request ids of instances that nothing happens to.

        Each instance is returned once after the start of nova-compute.

        :param moving: UUIDs of instances that are being moved.
        """
        settled = [
            instance
            for instance in instances
            if instance.uuid in self._unsettled
            and instance.uuid not in moving
            and instance.task_state is None
        ]
        self._unsettled -= {instance.uuid for instance in settled}
        return {
            instance.uuid: {
                request.request_id
                for request in getattr(instance.pci_requests, 'requests', ())
            }
            for instance in settled
        }

    def _own_requests(
        self, instances: Iterable[Any], rows: Iterable[reconcile.Row]
    ) -> Mapping[str, set[str]]:
        """Return all request ids of instances with devices without rows."""
        concerned = {row.instance_uuid for row in rows if row.is_rowless}
        return {
            instance.uuid: move_requests.all_ids(instance)
            for instance in instances
            if instance.uuid in concerned
        }

    def _plan(self, ack: objects.TrackerAck) -> reconcile.Plan:
        self._device_spec.refresh(ack.generation, list(self._tracker.pci_devs))
        return reconcile.decide(
            ack.held, self._rows(), self._device_spec.offered
        )

    def _follow(
        self, moves: Sequence[tuple[reconcile.Row, objects.PciDevice]]
    ) -> None:
        """Give devices that have moved rows at their new addresses."""
        for row, device in moves:
            LOG.warning(
                'Device %(old)s of instance %(uuid)s has moved to %(new)s: '
                "following it with Nova's PCI device record",
                {
                    'uuid': row.instance_uuid,
                    'old': row.address,
                    'new': device.address,
                },
            )
        former = [self._attachment_of(row) for row, _ in moves]
        for attached, (row, device) in zip(former, moves, strict=True):
            if row.is_allocated:
                device = device.replace(status=fields.DeviceStatus.ALLOCATED)
            restored = attachments.restored(
                self._tracker._context, self._tracker.node_id, device
            )
            self._attachments.add(restored)
            attached.release()
            # The conductor still holds the device, at its new address.
            attached.instance_uuid = None

    def _free(self, claims_by_instance: reconcile.Claims) -> None:
        for instance_uuid, claims in claims_by_instance.items():
            LOG.warning(
                'Freeing claims %(claims)s: Nova has no PCI device record '
                'for instance %(uuid)s',
                {'uuid': instance_uuid, 'claims': ', '.join(sorted(claims))},
            )
            devices = self._conductor.free(instance_uuid, claims)
            self._note(fields.Repair.FREE, instance_uuid, devices or ())

    def _adopt(
        self, rows: Iterable[reconcile.Row], projects: Mapping[str, str]
    ) -> None:
        for row in rows:
            LOG.warning(
                'Recording device %(address)s as held by instance %(uuid)s: '
                'Nova has a PCI device record, and the conductor has no claim',
                {'uuid': row.instance_uuid, 'address': row.address},
            )
            attached = self._attachment_of(row)
            adopted = self._conductor.adopt(
                row.instance_uuid,
                row.claim_id,
                row.address,
                attached.pci_flavor_uuid,
                projects.get(row.instance_uuid),
            )
            if adopted:
                self._note(fields.Repair.ADOPT, row.instance_uuid, adopted)
            elif adopted is not None:
                LOG.warning(
                    'Taking device %(address)s from instance %(uuid)s: an '
                    'operator has resolved that it is gone',
                    {'uuid': row.instance_uuid, 'address': row.address},
                )
                attached.release()

    def _tell_projects(
        self, held: Iterable[objects.PciDevice], projects: Mapping[str, str]
    ) -> None:
        """Tell the conductor the projects of devices, if it has others.

        It has none for devices that were held before it was upgraded, and a
        wrong one if a conductor of an earlier release gave the device away.

        :param held: the devices as the conductor knew them before the repairs.
        """
        for device in reconcile.untold(held, self._rows(), projects):
            self._conductor.adopt(
                str(device.instance_uuid),
                str(device.request_id),
                device.address,
                project_id=projects[str(device.instance_uuid)],
            )

    def _restore(self, devices: Iterable[objects.PciDevice]) -> None:
        for device in devices:
            LOG.warning(
                "Restoring Nova's PCI device record of %(address)s: instance "
                '%(uuid)s holds the device',
                {'uuid': device.instance_uuid, 'address': device.address},
            )
            self._attachments.add(
                attachments.restored(
                    self._tracker._context, self._tracker.node_id, device
                )
            )
            self._note(
                fields.Repair.RESTORE, str(device.instance_uuid), [device]
            )

    def _take_over(self, rows: Iterable[reconcile.Row]) -> None:
        """Turn native rows into attachments: the devices are offered now."""
        for row in rows:
            adopted = self._conductor.adopt(
                row.instance_uuid,
                row.claim_id,
                row.address,
                self._pci_flavor_of(row),
            )
            if not adopted:
                continue
            LOG.info(
                'Took device %(address)s of instance %(uuid)s over from '
                '[pci] device_spec: pci_information offers it now',
                {'uuid': row.instance_uuid, 'address': row.address},
            )
            self._attachments.add(
                attachment.Attachment.taken_over(
                    nova_rows.take(self._tracker, row.address), adopted[0]
                )
            )
            self._note(fields.Repair.TAKE_OVER, row.instance_uuid, adopted)

    def _pci_flavor_of(self, row: reconcile.Row) -> str | None:
        """Return the PCI flavor that stands for the request of a native row.

        After ``import-nova`` it has the name of the alias; after ``return``
        the request is for the PCI flavor already.

        :returns: None if it cannot be told.
        """
        if row.request_id is None:
            return None
        held = pci.InstancePCIRequests.get_by_instance_uuid(
            self._tracker._context, row.instance_uuid
        )
        for request in held.requests:
            if request.request_id != row.request_id:
                continue
            if requests.is_for_pci_flavor(request):
                uuids = requests.to_pci_request(request).pci_flavors
                return uuids[0] if len(uuids) == 1 else None
            if request.alias_name is not None:
                return self._conductor.pci_flavor_named(request.alias_name)
        return None

    def _hand_back(self, rows: Iterable[reconcile.Row]) -> None:
        """Turn attachments into native rows: ``device_spec`` matches again.

        The conductor is told when the attachments are saved.
        """
        for row in rows:
            LOG.info(
                'Handing device %(address)s of instance %(uuid)s back to '
                '[pci] device_spec, which matches it again',
                {'uuid': row.instance_uuid, 'address': row.address},
            )
            attached: Any = self._attachment_of(row)
            self._attachments.drop(attached)
            nova_rows.give(self._tracker, attached.hand_back())
            self._note(fields.Repair.HAND_BACK, row.instance_uuid, [row])

    def _note(
        self,
        repair: str,
        instance_uuid: str,
        devices: Collection[objects.PciDevice | reconcile.Row],
    ) -> None:
        """Record a repair of an instance's devices in the ledger."""
        if devices:
            self._conductor.note_repair(
                instance_uuid, {device.address for device in devices}, repair
            )

    def _rows(self) -> list[reconcile.Row]:
        return nova_view.rows(
            self._tracker, self._attachments, self._device_spec
        )

    def _attachment_of(self, row: reconcile.Row) -> attachments.AnyAttachment:
        (attached,) = [
            held
            for held in self._attachments.held()
            if held.address == row.address
        ]
        return attached
