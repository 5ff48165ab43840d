# SPDX-License-Identifier: Apache-2.0
"""Claims devices for an instance: by the conductor, then in Nova's rows."""

from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from oslo_log import log as logging

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.nova_plugin import flavor_requests
from pci_passthrough.nova_plugin import requests
from pci_passthrough.nova_plugin.compat import pci
from pci_passthrough.nova_plugin.compute import attachments
from pci_passthrough.nova_plugin.compute import device_spec
from pci_passthrough.nova_plugin.compute import host_conductor
from pci_passthrough.nova_plugin.compute import matched_twice
from pci_passthrough.nova_plugin.compute import own_verdict

LOG = logging.getLogger(__name__)

#: Projects see this text in the fault of an instance. The reason may name
#: other instances and the host's configuration, so only the log has it.
_CANNOT_CLAIM = 'devices for the PCI flavors cannot be claimed on this host'


class Claimer:
    """Claims devices of one host, all of an instance's requests or none.

    ``PciFlavorDevTracker`` is the only caller, under Nova's lock of all
    claims (``COMPUTE_RESOURCE_SEMAPHORE``).

    :param tracker: Nova's tracker.
    :param conductor: the conductor, for this host.
    :param held: the attachments of this host; a claim adds some.
    :param spec: ``[pci] device_spec`` of this host.
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

    def claim(
        self, instance_uuid: str, wanted: Sequence[Any], numa_topology: Any
    ) -> list[attachments.AnyAttachment]:
        """Claim devices by the conductor, and make their attachments.

        :param wanted: Nova's requests for PCI flavors.
        :param numa_topology: Nova's ``InstanceNUMATopology``, or None.
        :raises ComputeResourcesUnavailable: not all can be served; then
            nothing is claimed.
        """
        by_claim = {
            self._claim_id(instance_uuid, request.request_id): request
            for request in wanted
        }
        devices = self._claim_devices(instance_uuid, by_claim, numa_topology)
        attached: list[attachments.AnyAttachment] = []
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
        self._tracker.own_supply.forget()
        try:
            return self._conductor.claim(
                instance_uuid,
                [
                    requests.to_pci_request(request).replace(request_id=claim)
                    for claim, request in by_claim.items()
                ],
                self._tracker.stats.affinity(
                    numa_topology and numa_topology.cells
                ),
                pci.project_of(self._tracker._context, instance_uuid),
                flavor_requests.moving_instance_uuid() == instance_uuid,
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

    def _attach(self, device: objects.PciDevice) -> attachments.AnyAttachment:
        return self._attachments.at(device.address) or attachments.claimed(
            self._tracker._context, self._tracker.node_id, device
        )

    def _check_unused(
        self, instance_uuid: str, devices: Iterable[objects.PciDevice]
    ) -> None:
        """Check that claimed devices are not in use, and that the host agrees.

        :raises ComputeResourcesUnavailable: Nova's tracker has one of them,
            or another instance or claim, or the host does not offer it.
        """
        twice = self._device_spec.native_devices(
            self._tracker.pci_devs, devices
        )
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
        reasons += own_verdict.reasons_against(self._conductor.host, devices)
        if reasons:
            LOG.error(
                'Aborting the claim of instance %(uuid)s: device cannot be '
                'used: %(reasons)s',
                {'uuid': instance_uuid, 'reasons': '; '.join(reasons)},
            )
            raise pci.ComputeResourcesUnavailable(reason=_CANNOT_CLAIM)

    def _abort_claim(
        self,
        instance_uuid: str,
        claims: Iterable[str],
        attached: Iterable[attachments.AnyAttachment],
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
            self._attachments.save(self._tracker._context)
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
