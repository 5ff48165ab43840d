# SPDX-License-Identifier: Apache-2.0
"""In the place of Nova's PCI device tracker: where nova-compute claims.

Requests for PCI flavors are served with devices of this project, all others
are left to Nova's tracker. What is claimed, allocated and freed in memory is
written by ``save``, which Nova calls at the end of each operation: Nova's
rows first, then the conductor is told. If nova-compute ends anywhere between,
or no conductor answers, ``reconcile`` finds out what to mend.

Our rows are never among ``pci_devs``: neither the comparison with ``[pci]
device_spec`` nor the inventory in Placement must see them.

Everything here is called under the lock of all claims of the host.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
import functools
from typing import Any

from oslo_log import log as logging
from oslo_serialization import jsonutils

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.nova_plugin import requests
from pci_passthrough.nova_plugin import stats
from pci_passthrough.nova_plugin.compat import pci
from pci_passthrough.nova_plugin.compat import tracker as nova_tracker
from pci_passthrough.nova_plugin.compute import attachment
from pci_passthrough.nova_plugin.compute import attachments
from pci_passthrough.nova_plugin.compute import device_spec
from pci_passthrough.nova_plugin.compute import host_conductor
from pci_passthrough.nova_plugin.compute import matched_twice
from pci_passthrough.nova_plugin.compute import nova_rows
from pci_passthrough.nova_plugin.compute import own_supply
from pci_passthrough.nova_plugin.compute import reconcile
from pci_passthrough.nova_plugin.install import bootstrap

LOG = logging.getLogger(__name__)


#: What projects see in the fault of an instance. Why is in the log: it may
#: name other instances, and the configuration of the host.
_CANNOT_CLAIM = 'devices for the PCI flavors cannot be claimed on this host'


class MatchedTwice(SystemExit):
    """Devices are matched by Nova's configuration and by this project's."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        # Not the text: not everything that runs services takes one.
        self.code = 1


class PciFlavorDevTracker(nova_tracker.PciDevTracker):
    """Nova's tracker, and the devices of this project.

    :ivar own_offer: what a claim is tested with.
    """

    #: Nova's pools, and what a conductor offers beside them
    stats: Any

    def __init__(self, context: Any, compute_node: Any) -> None:
        named = 'host' in compute_node and compute_node.host
        self._devices = host_conductor.HostDevices(
            named or bootstrap.nova_conf().host
        )
        self.own_offer = own_supply.OwnOffer(self._devices)
        super().__init__(context, compute_node)

    # -- start --

    def _initial_instance_usage(self) -> None:
        self.stats = stats.PciFlavorStats(self.stats, self.own_offer.load)
        self._device_spec = device_spec.DeviceSpec(
            self.dev_filter, self._devices
        )
        rows = list(self.pci_devs)
        ours = [row for row in rows if attachment.is_ours(row)]
        self._attachments = attachments.Attachments(ours, self._devices)
        #: instances of which a crash may have left too much
        self._unsettled = {row.instance_uuid for row in ours}
        nova_rows.set_rows(
            self, [row for row in rows if not attachment.is_ours(row)]
        )
        super()._initial_instance_usage()
        ack = None if self._is_for_ironic else self._devices.register()
        if ack is not None:
            # Before Nova complains that they match device_spec no longer.
            self._take_over(self._compare(ack).take_over)

    def update_devices_from_hypervisor_resources(
        self, devices_json: str
    ) -> None:
        """Let Nova's tracker see what the host has, but for our rows.

        Nova calls it once, at start.

        :raises MatchedTwice: both sides would give a device away.
        """
        ours = {one.address for one in self._attachments}
        found = jsonutils.loads(devices_json)
        super().update_devices_from_hypervisor_resources(
            jsonutils.dumps([d for d in found if d['address'] not in ours])
        )
        twice = self._device_spec.matched_twice(self._all_rows())
        if twice:
            text = (
                'nova-compute does not start: PCI devices could be promised '
                f'twice. {matched_twice.describe(twice)}'
            )
            LOG.critical('%s', text)
            raise MatchedTwice(text)

    # -- claim --

    def claim_instance(
        self,
        context: Any,
        pci_requests: Any,
        instance_numa_topology: Any,
    ) -> list[Any]:
        """Claim for all requests or for none.

        :raises ComputeResourcesUnavailable: a request of ours cannot be
            served. No class of ours: nova-conductor must know what it is.
        """
        ours = requests.ours(pci_requests.requests)
        if not ours:
            rows: list[Any] = super().claim_instance(
                context, pci_requests, instance_numa_topology
            )
            return rows
        instance_uuid = pci_requests.instance_uuid
        native = super().claim_instance(
            context,
            pci.InstancePCIRequests(
                instance_uuid=instance_uuid,
                requests=requests.natives(pci_requests.requests),
            ),
            instance_numa_topology,
        )
        try:
            made = self._claim(instance_uuid, ours, instance_numa_topology)
        except Exception:
            for row in native:
                nova_rows.drop(self.claims, instance_uuid, row)
                self._free_device(row)
            raise
        return [*native, *(one.row for one in made)]

    def _claim(
        self, instance_uuid: str, wanted: Sequence[Any], numa_topology: Any
    ) -> list[attachment.Attachment]:
        by_claim = {
            self._claim_id(instance_uuid, one.request_id): one
            for one in wanted
        }
        self.own_offer.forget()
        try:
            devices = self._devices.claim(
                instance_uuid,
                [
                    requests.to_pci_request(one).replace(request_id=claim)
                    for claim, one in by_claim.items()
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
        made: list[attachment.Attachment] = []
        try:
            self._check_claimed(instance_uuid, devices)
            for device in devices:
                made.append(self._attach(device))
        except Exception:
            self._give_up(instance_uuid, by_claim, made)
            raise
        for one in made:
            self._attachments.add(one)
        return made

    def _claim_id(self, instance_uuid: str, request_id: str) -> str:
        if requests.mover() == instance_uuid:
            # A resize within the host keeps the requests of Neutron ports,
            # and gets other devices for them, beside the old ones.
            return self._attachments.new_claim_id(instance_uuid, request_id)
        # What there may be already is left from a live migration to here
        # that failed: the conductor gives the same devices again.
        return request_id

    def _attach(self, device: objects.PciDevice) -> attachment.Attachment:
        return self._attachments.at(
            device.address
        ) or attachment.Attachment.claimed(self._context, self.node_id, device)

    def _check_claimed(
        self, instance_uuid: str, devices: Iterable[objects.PciDevice]
    ) -> None:
        """Make sure that claimed devices are nobody else's.

        :raises ComputeResourcesUnavailable: Nova's tracker has one, or an
            instance.
        """
        twice = self._device_spec.natives(self.pci_devs, devices)
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
            text = '; '.join(reasons)
            LOG.error(
                'The claim of instance %(uuid)s is given up, it got what '
                'cannot be given away: %(text)s',
                {'uuid': instance_uuid, 'text': text},
            )
            raise pci.ComputeResourcesUnavailable(reason=_CANNOT_CLAIM)

    def _give_up(
        self,
        instance_uuid: str,
        claims: Iterable[str],
        made: Iterable[attachment.Attachment],
    ) -> None:
        """Give a claim back of which something went wrong."""
        for one in made:
            one.release()
            # Nobody has to be told when its row is gone.
            one.instance_uuid = None
            self._attachments.add(one)
        try:
            # Until they are gone, the devices can be claimed for nobody.
            self._attachments.save(self._context)
        except Exception:
            # The next operation on the host saves again. What is raised
            # here must be why the claim was given up.
            LOG.exception('Rows of a claim that failed are not deleted yet')
        self._devices.abort(instance_uuid, sorted(claims))

    def allocate_instance(self, instance: Any) -> None:
        """Turn an instance's claims into allocations."""
        super().allocate_instance(instance)
        for one in self._attachments.of(instance['uuid'], allocated=False):
            one.allocate(instance)

    # -- free --

    def free_device(self, dev: Any, instance: Any) -> None:
        """Free one device of an instance.

        :param dev: a copy of its row, which may be old.
        """
        for one in self._attachments.of(instance['uuid']):
            row = one.row
            if dev.id == row.id or (
                (dev.compute_node_id, dev.address, dev.request_id)
                == (row.compute_node_id, row.address, row.request_id)
            ):
                self._release(one)
                return
        super().free_device(dev, instance)

    def free_instance_allocations(self, context: Any, instance: Any) -> None:
        """Free what is allocated to an instance."""
        super().free_instance_allocations(context, instance)
        for one in self._attachments.of(instance['uuid'], allocated=True):
            self._release(one, instance)

    def free_instance_claims(self, context: Any, instance: Any) -> None:
        """Free what an instance has claimed."""
        super().free_instance_claims(context, instance)
        for one in self._attachments.of(instance['uuid'], allocated=False):
            self._release(one, instance)

    def update_pci_for_instance(
        self, context: Any, instance: Any, sign: int
    ) -> None:
        """Allocate or free all; Nova's does not on a host without its own."""
        if sign == -1:
            self.free_instance(context, instance)
        if sign == 1:
            self.allocate_instance(instance)

    def _release(
        self, one: attachment.Attachment, instance: Any = None
    ) -> None:
        one.release(instance)
        self.own_offer.forget()

    def save(self, context: Any) -> None:
        """Write what changed."""
        super().save(context)
        self._attachments.save(context)

    # -- the periodic task, and the end of the start --

    def clean_usage(self, instances: Any, migrations: Any) -> None:
        """Free what gone instances left; mend what differs."""
        super().clean_usage(instances, migrations)
        if self._is_for_ironic:
            return
        # First: what ends below is told when its rows are gone.
        ack = self._devices.register()
        if ack is not None:
            self._mend(self._compare(ack))
            self._device_spec.complain(self._all_rows())
        moving = {migration.instance_uuid for migration in migrations}
        known = moving | {instance.uuid for instance in instances}
        wanted = self._wanted(instances, moving)
        for row in reconcile.ended(self._rows(), known, wanted):
            # Nova claims for a live migration before it writes where it goes.
            if row.instance_uuid not in known and pci.is_migrating(
                self._context, row.instance_uuid
            ):
                continue
            LOG.info(
                'Instance %(uuid)s has %(address)s no longer',
                {'uuid': row.instance_uuid, 'address': row.address},
            )
            self._release(self._recorded(row))

    @property
    def _is_for_ironic(self) -> bool:
        """Whether the host's nodes are not the host.

        Ironic's nova-compute has one tracker and hundreds of nodes, each of
        which runs the periodic task, and none of them has our devices.
        """
        driver = str(bootstrap.nova_conf().compute_driver or '')
        return driver.startswith('ironic.')

    def _wanted(
        self, instances: Iterable[Any], moving: set[str]
    ) -> dict[str, set[str]]:
        """Return the requests of instances, of each once after the start."""
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
                one.request_id
                for one in getattr(instance.pci_requests, 'requests', ())
            }
            for instance in settled
        }

    def _compare(self, ack: objects.TrackerAck) -> reconcile.Plan:
        self._device_spec.ask(ack.generation, list(self.pci_devs))
        return reconcile.decide(
            ack.held, self._rows(), self._device_spec.offered
        )

    def _mend(self, plan: reconcile.Plan) -> None:
        for instance_uuid, claims in plan.free.items():
            LOG.warning(
                'Instance %(uuid)s holds devices, and has none by Nova: its '
                'claims %(claims)s are freed',
                {'uuid': instance_uuid, 'claims': ', '.join(sorted(claims))},
            )
            self._devices.free(instance_uuid, claims)
        for instance_uuid, claims in plan.allocate.items():
            self._devices.allocate(instance_uuid, claims)
        for row in plan.adopt:
            LOG.warning(
                'Instance %(uuid)s has %(address)s by Nova, and does not '
                'hold it: that is recorded now',
                {'uuid': row.instance_uuid, 'address': row.address},
            )
            self._devices.adopt(
                row.instance_uuid,
                row.claim_id,
                row.address,
                self._recorded(row).pci_flavor_uuid,
            )
        for device in plan.restore:
            LOG.warning(
                'Instance %(uuid)s holds %(address)s, and its row in Nova is '
                'missing: it is made again',
                {'uuid': device.instance_uuid, 'address': device.address},
            )
            self._attachments.add(
                attachment.Attachment.restored(
                    self._context, self.node_id, device
                )
            )
        self._take_over(plan.take_over)
        self._hand_back(plan.hand_back)

    def _take_over(self, rows: Iterable[reconcile.Row]) -> None:
        """Make rows of Nova's ours: instances from before this project."""
        for row in rows:
            device = self._devices.adopt(
                row.instance_uuid, row.claim_id, row.address
            )
            if device is None:
                continue
            LOG.info(
                '%(address)s of instance %(uuid)s is offered by '
                'pci_information now: taken over from [pci] device_spec',
                {'uuid': row.instance_uuid, 'address': row.address},
            )
            self._attachments.add(
                attachment.Attachment.taken_over(
                    nova_rows.take(self, row.address), device
                )
            )

    def _hand_back(self, rows: Iterable[reconcile.Row]) -> None:
        """Make rows of ours Nova's: this project offers them no longer."""
        for row in rows:
            LOG.info(
                '%(address)s of instance %(uuid)s is matched by [pci] '
                'device_spec again: handed back to it',
                {'uuid': row.instance_uuid, 'address': row.address},
            )
            one = self._recorded(row)
            self._attachments.drop(one)
            nova_rows.give(self, one.hand_back())

    # -- rows --

    def _all_rows(self) -> list[Any]:
        return [*self.pci_devs, *(one.row for one in self._attachments)]

    def _rows(self) -> list[reconcile.Row]:
        """Return the rows of devices that instances have."""
        ours = [one.row for one in self._attachments.held()]
        native = [row for row in self.pci_devs if attachment.is_held(row)]
        return [
            reconcile.Row(
                address=row.address,
                instance_uuid=row.instance_uuid,
                claim_id=attachment.claim_id(row),
                request_id=row.request_id,
                is_allocated=row.status == pci.PciDeviceStatus.ALLOCATED,
                is_ours=attachment.is_ours(row),
                in_device_spec=self._device_spec.entry_for(row) is not None,
            )
            for row in [*ours, *native]
        ]

    def _recorded(self, row: reconcile.Row) -> attachment.Attachment:
        (one,) = [
            one
            for one in self._attachments.held()
            if one.address == row.address
        ]
        return one


def wrap_test_pci(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Say why a claim's test of PCI devices fails.

    It fails, too, if the flavor asks for PCI flavors and the requests, which
    a process without the door has made then, do not.
    """

    @functools.wraps(original)
    def _test_pci(claim: Any) -> Any:
        # A move's is the new one.
        flavor = getattr(claim, 'flavor', None) or claim.instance.flavor
        pci_requests = claim._pci_requests
        if requests.missing(flavor, pci_requests):
            return (
                'the flavor asks for PCI flavors, and the requests do not: '
                'has the nova-api that made them no pci_passthrough?'
            )
        reason = original(claim)
        ours = requests.ours(pci_requests.requests if pci_requests else ())
        if reason is None or not ours:
            return reason
        tracker = claim.tracker.pci_tracker
        return tracker.own_offer.refusal(ours) or reason

    return _test_pci
