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
    """The offered devices and the other addresses of a host at one time.

    :ivar offered: address to device (``REPORTED_FIELDS`` set).
    :ivar withdrawn: addresses of devices that the host has but does not offer.
    """

    offered: Mapping[str, objects.PciDevice]
    withdrawn: frozenset[str]

    @classmethod
    def of(
        cls, offered: Iterable[objects.PciDevice], withdrawn: Iterable[str]
    ) -> Self:
        """Build a snapshot from the result of a scan.

        :param offered: offered devices.
        :param withdrawn: addresses of others; those of offered devices are
            ignored.
        """
        by_address = {device.address: device for device in offered}
        return cls(by_address, frozenset(withdrawn) - by_address.keys())

    @functools.cached_property
    def digest(self) -> str:
        """The SHA-256 (hex) of the whole snapshot."""
        canonical = json.dumps(
            [
                [self.offered[a].reported() for a in sorted(self.offered)],
                sorted(self.withdrawn),
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
            withdrawn=sorted(self.withdrawn),
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
        known = before.offered.keys() | before.withdrawn
        return objects.HostReport(
            is_full=False,
            base_generation=generation,
            digest=self.digest,
            offered=[
                device
                for address, device in self.offered.items()
                if address not in before.offered
                or device.reported() != before.offered[address].reported()
            ],
            withdrawn=sorted(self.withdrawn - before.withdrawn),
            gone=sorted(known - self.offered.keys() - self.withdrawn),
            **header,
        )
