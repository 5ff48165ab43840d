# SPDX-License-Identifier: Apache-2.0
"""The devices of a host at one time, and reports of them."""

from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses
import functools
import hashlib
import json
from typing import Any
from typing import Self

from pci_passthrough import objects


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """The devices of a host at one time.

    :ivar offered: address to device (``REPORTED_FIELDS`` set).
    :ivar refused: the same, for devices that an entry of pci_information
        matches and the host refuses.
    :ivar withdrawn: address to ``objects.Identity``, as text, of all other
        devices; empty if it is not known.
    """

    offered: Mapping[str, objects.PciDevice]
    refused: Mapping[str, objects.PciDevice]
    withdrawn: Mapping[str, str]

    @classmethod
    def of(
        cls,
        offered: Iterable[objects.PciDevice],
        withdrawn: Mapping[str, str] | Iterable[str] = (),
        refused: Iterable[objects.PciDevice] = (),
    ) -> Self:
        """Build a snapshot from the result of a scan.

        Of an address in several arguments, only the device that is offered
        counts, else the one that is refused.

        :param withdrawn: what the other devices are, by address, or only
            their addresses.
        """
        if not isinstance(withdrawn, Mapping):
            withdrawn = dict.fromkeys(withdrawn, '')
        offered_at = {device.address: device for device in offered}
        refused_at = {
            device.address: device
            for device in refused
            if device.address not in offered_at
        }
        matched = offered_at.keys() | refused_at.keys()
        others = {a: what for a, what in withdrawn.items() if a not in matched}
        return cls(offered_at, refused_at, others)

    @functools.cached_property
    def digest(self) -> str:
        """The SHA-256 (hex) of all that is worth a report."""
        canonical = json.dumps(
            [
                *(
                    [devices[a].lasting() for a in sorted(devices)]
                    for devices in (self.offered, self.refused)
                ),
                sorted(self.withdrawn.items()),
            ],
            sort_keys=True,
        )
        return hashlib.sha256(canonical.encode()).hexdigest()

    def full_report(self, **header: Any) -> objects.HostReport:
        """Return a report of all devices.

        :param header: ``host``, ``agent_version`` and ``sequence``.
        """
        return objects.HostReport(
            is_full=True,
            base_generation=0,
            digest=self.digest,
            offered=list(self.offered.values()),
            refused=list(self.refused.values()),
            withdrawn=sorted(self.withdrawn),
            withdrawn_hardware=_known(self.withdrawn),
            gone=[],
            **header,
        )

    def report_since(
        self, before: 'Snapshot', generation: int, **header: Any
    ) -> objects.HostReport:
        """Return a report of the differences to an earlier snapshot.

        :param before: the snapshot that the conductor acknowledged last.
        :param generation: the host's generation in that acknowledgement.
        :param header: ``host``, ``agent_version`` and ``sequence``.
        """
        withdrawn = {
            address: what
            for address, what in self.withdrawn.items()
            if before.withdrawn.get(address) != what
        }
        return objects.HostReport(
            is_full=False,
            base_generation=generation,
            digest=self.digest,
            offered=_news(self.offered, before.offered),
            refused=_news(self.refused, before.refused),
            withdrawn=sorted(withdrawn),
            withdrawn_hardware=_known(withdrawn),
            gone=sorted(before._addresses - self._addresses),
            **header,
        )

    @property
    def _addresses(self) -> frozenset[str]:
        return frozenset().union(self.offered, self.refused, self.withdrawn)


def _news(
    devices: Mapping[str, objects.PciDevice],
    before: Mapping[str, objects.PciDevice],
) -> list[objects.PciDevice]:
    """Return the devices that are new, or whose lasting facts changed."""
    return [
        device
        for address, device in devices.items()
        if address not in before
        or device.lasting() != before[address].lasting()
    ]


def _known(withdrawn: Mapping[str, str]) -> dict[str, str]:
    return {address: what for address, what in withdrawn.items() if what}
