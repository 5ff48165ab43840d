# SPDX-License-Identifier: Apache-2.0
"""What a host's own nova-compute is offered, for the test of a claim."""

from collections.abc import Sequence
import time
from typing import Any

from oslo_log import log as logging

from pci_passthrough import claims
from pci_passthrough import exception
from pci_passthrough.nova_plugin import requests
from pci_passthrough.nova_plugin import stats
from pci_passthrough.nova_plugin.compute import host_conductor

LOG = logging.getLogger(__name__)

#: Seconds for which an answer is good, if nothing is claimed or freed here
#: meanwhile. Nova asks once for each way to place an instance's NUMA nodes.
_KEPT = 1.0


class OwnOffer:
    """Asks a conductor, and keeps the last answer for a moment.

    :param devices: of the host.
    """

    def __init__(self, devices: host_conductor.HostDevices) -> None:
        self._devices = devices
        self._wanted: list[Any] = []
        self._offer: stats.HostOffer | None = None
        self._failure: str | None = None
        self._good_until = 0.0

    def load(self, wanted: Sequence[Any]) -> stats.HostOffer:
        """Return what the host can give for requests of ours.

        :param wanted: Nova's ``InstancePCIRequest`` objects.
        :returns: nothing, if no conductor answers.
        """
        asked = [requests.to_pci_request(one) for one in wanted]
        primitive = [one.obj_to_primitive() for one in asked]
        now = time.monotonic()
        if (
            self._offer is None
            or self._wanted != primitive
            or now >= self._good_until
        ):
            host = self._devices.host
            try:
                offer = self._devices.offer(asked, requests.mover())
                self._failure = None
            except exception.PciPassthroughError as error:
                offer = claims.SupplySnapshot((), {}, {}, {host: error.code})
                LOG.error(
                    'What the host can give is not known: %s', error.text
                )
                # Projects see it, in the fault of an instance.
                self._failure = 'the devices of PCI flavors are not known now'
            self._offer = stats.HostOffer(host, offer)
            self._wanted = primitive
            self._good_until = time.monotonic() + _KEPT
        return self._offer

    def forget(self) -> None:
        """Forget the last answer: the host's devices change."""
        self._offer = None

    def refusal(self, wanted: Sequence[Any]) -> str | None:
        """Say why requests cannot be served; None if they can."""
        offer = self.load(wanted)
        if self._failure is not None:
            return self._failure
        reasons = offer.offer.reasons(self._devices.host)
        return claims.summarize(reasons) if reasons else None
