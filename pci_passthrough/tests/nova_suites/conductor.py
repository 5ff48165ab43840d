# SPDX-License-Identifier: Apache-2.0
"""A conductor without hosts, for Nova's tests."""

import collections
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from pci_passthrough import claims
from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.objects import fields


class NoHosts:
    """Stands in for ``rpc.ConductorClient``; no agent has ever reported.

    Nova's tests request no PCI flavor, so only the calls of every host have
    an answer. Any other call is a defect of the Nova plugin, and fails the
    test.

    :ivar calls: method to number of its calls.
    """

    def __init__(self) -> None:
        self.calls: collections.Counter[str] = collections.Counter()

    def register_tracker(self, host: str, version: str) -> Any:
        """Return that the host is unknown and holds nothing."""
        self.calls['register_tracker'] += 1
        return objects.TrackerAck(generation=None, held=[])

    def host_devices(self, host: str) -> list[objects.PciDevice]:
        """Return that the host has no devices."""
        self.calls['host_devices'] += 1
        return []

    def free_by_numa_node(self) -> Mapping[str, Mapping[int, int]]:
        """Return that no host has free devices."""
        self.calls['free_by_numa_node'] += 1
        return {}

    def adopt(self, host: str, *args: Any, **kwargs: Any) -> Any:
        """Raise: there is no such host."""
        self.calls['adopt'] += 1
        raise exception.HostNotFound(host)

    def free(self, *args: Any, **kwargs: Any) -> Sequence[objects.PciDevice]:
        """Return that nothing was held."""
        self.calls['free'] += 1
        return []

    def offer(
        self,
        requests: Sequence[objects.PciRequest],
        hosts: Sequence[str],
        **_options: Any,
    ) -> claims.SupplySnapshot:
        """Return that nothing is free; no PCI flavor was requested."""
        self.calls['offer'] += 1
        if requests:
            raise AssertionError('devices were requested')
        absent = dict.fromkeys(hosts, fields.RefusalCondition.HOST_UNKNOWN)
        return claims.SupplySnapshot((), {}, {}, absent)

    def note_refusals(
        self, instance_uuid: str, summary: str,
        reasons: Mapping[str, Any], requests: str,
    ) -> None:  # fmt: skip
        """Raise: no PCI flavor was requested."""
        raise AssertionError('refusals were noted without a request')
