# SPDX-License-Identifier: Apache-2.0
"""A conductor to which no agent has ever reported."""

import collections
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from pci_passthrough import exception
from pci_passthrough import objects


class NoHosts:
    """In the place of ``rpc.ConductorClient``, in the same process.

    Nova's own tests ask for no PCI flavor, so only what every host asks for
    has an answer; anything else is a defect of the door, and fails the test.

    :ivar calls: how often each method was called.
    """

    def __init__(self) -> None:
        self.calls: collections.Counter[str] = collections.Counter()

    def register_tracker(self, host: str, version: str) -> Any:
        """Return that the host is not known, and nothing is held."""
        self.calls['register_tracker'] += 1
        return objects.TrackerAck(generation=None, held=[])

    def host_devices(self, host: str) -> list[objects.PciDevice]:
        """Return that the host has no devices."""
        self.calls['host_devices'] += 1
        return []

    def adopt(self, host: str, *args: Any, **kwargs: Any) -> Any:
        """Refuse: no such host."""
        self.calls['adopt'] += 1
        raise exception.HostNotFound(host)

    def free(self, *args: Any, **kwargs: Any) -> Sequence[objects.PciDevice]:
        """Return that nothing was held."""
        self.calls['free'] += 1
        return []

    def note_refusals(
        self, instance_uuid: str, summary: str,
        reasons: Mapping[str, Any], requests: str,
    ) -> None:  # fmt: skip
        """Refuse: nothing of ours was asked for."""
        raise AssertionError('refusals were noted without a request')
