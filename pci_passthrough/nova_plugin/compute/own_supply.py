# SPDX-License-Identifier: Apache-2.0
"""The free devices of nova-compute's own host, for the test of a claim."""

from collections.abc import Sequence
import time
from typing import Any

from oslo_log import log as logging

from pci_passthrough import claims
from pci_passthrough import exception
from pci_passthrough.nova_plugin import flavor_requests
from pci_passthrough.nova_plugin import requests
from pci_passthrough.nova_plugin import stats
from pci_passthrough.nova_plugin.compute import host_conductor

LOG = logging.getLogger(__name__)

#: Seconds for which an answer is reused, unless a device is claimed or freed
#: here meanwhile. Nova asks once for each way to place an instance's NUMA
#: nodes.
_KEPT = 1.0


class OwnSupply:
    """Asks the conductor for free devices; caches the answer for a second.

    :param conductor: the conductor, for this host.
    """

    def __init__(self, conductor: host_conductor.HostConductor) -> None:
        self._conductor = conductor
        self._cached_for: list[Any] = []
        self._cached: stats.HostSupply | None = None
        self._failure: str | None = None
        self._cached_until = 0.0

    def beside(self, native: Any) -> stats.PciFlavorStats:
        """Return the pools of this host: Nova's own and the free devices.

        :param native: Nova's ``PciDeviceStats``.
        """
        return stats.PciFlavorStats(
            native, self.load, free_pools=self.free_pools
        )

    def load(self, wanted: Sequence[Any]) -> stats.HostSupply:
        """Return the supply of this host for requests for PCI flavors.

        :param wanted: Nova's ``InstancePCIRequest`` objects.
        :returns: an empty supply if no conductor answers.
        """
        asked = [requests.to_pci_request(request) for request in wanted]
        primitives = [request.obj_to_primitive() for request in asked]
        if (
            self._cached is None
            or self._cached_for != primitives
            or time.monotonic() >= self._cached_until
        ):
            host = self._conductor.host
            try:
                snapshot = self._conductor.supply_snapshot(
                    asked, flavor_requests.moving_instance_uuid()
                )
                self._failure = None
            except exception.PciPassthroughError as error:
                snapshot = claims.SupplySnapshot(
                    (), {}, {}, {host: error.code}
                )
                LOG.error(
                    'Cannot get available devices from the conductor: %s',
                    error.text,
                )
                # Projects see this text in the fault of an instance.
                self._failure = 'the devices of PCI flavors are not known now'
            self._cached = stats.HostSupply(host, snapshot)
            self._cached_for = primitives
            self._cached_until = time.monotonic() + _KEPT
        return self._cached

    def free_pools(self) -> list[dict[str, Any]]:
        """Return all free devices of this host as pools in Nova's form.

        :returns: no pools if no conductor answers.
        """
        snapshot = self._conductor.free_devices()
        if snapshot is None:
            return []
        return stats.HostSupply(self._conductor.host, snapshot).pools()

    def forget(self) -> None:
        """Drop the cached answer: devices of this host change."""
        self._cached = None

    def refusal(self, wanted: Sequence[Any]) -> str | None:
        """Return why this host cannot serve requests; None if it can.

        :param wanted: Nova's ``InstancePCIRequest`` objects.
        """
        supply = self.load(wanted)
        if self._failure is not None:
            return self._failure
        reasons = supply.snapshot.reasons(self._conductor.host)
        return claims.summarize(reasons) if reasons else None
