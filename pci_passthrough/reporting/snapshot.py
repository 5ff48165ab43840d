# SPDX-License-Identifier: Apache-2.0
"""The agent's side: what the host offers now, and what changed."""

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
    :ivar withdrawn: addresses which are there but not offered.
    """

    offered: Mapping[str, objects.PciDevice]
    withdrawn: frozenset[str]

    @classmethod
    def of(
        cls, offered: Iterable[objects.PciDevice], withdrawn: Iterable[str]
    ) -> Self:
        """Build a snapshot from the result of a scan.

        :param offered: devices; what is among them is not withdrawn.
        :param withdrawn: addresses.
        """
        by_address = {device.address: device for device in offered}
        return cls(by_address, frozenset(withdrawn) - by_address.keys())

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 (hex) over everything in the snapshot."""
        canonical = json.dumps(
            [
                [self.offered[a].reported() for a in sorted(self.offered)],
                sorted(self.withdrawn),
            ],
            sort_keys=True,
        )
        return hashlib.sha256(canonical.encode()).hexdigest()

    def full_report(self, **header: Any) -> objects.HostReport:
        """Return a report that stands on its own.

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
        """Return a report of the differences.

        :param before: what the conductor acknowledged last.
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
