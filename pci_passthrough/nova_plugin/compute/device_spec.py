# SPDX-License-Identifier: Apache-2.0
"""``[pci] device_spec`` of a host, beside what its agent offers."""

from collections.abc import Collection
from collections.abc import Iterable
from typing import Any

from oslo_log import log as logging
from oslo_serialization import jsonutils

from pci_passthrough import objects
from pci_passthrough.nova_plugin.compute import host_conductor
from pci_passthrough.nova_plugin.compute import matched_twice

LOG = logging.getLogger(__name__)


class DeviceSpec:
    """Says by which of the two a device is given away.

    :param dev_filter: Nova's ``Whitelist``.
    :param devices: of the host.
    :ivar offered: by address, what the agent offers; None: not known.
    """

    def __init__(
        self, dev_filter: Any, devices: host_conductor.HostDevices
    ) -> None:
        self._specs = dev_filter.specs
        self._devices = devices
        self._generation: int | None = None
        self._told: Collection[str] = ()
        self.offered: dict[str, objects.PciDevice] | None = None

    def entry_for(self, row: Any) -> str | None:
        """Return the entry that matches the device of a row, as JSON."""
        # Not Whitelist.get_devspec: what answers for our rows is put there.
        for spec in self._specs:
            if spec.match_pci_obj(row):
                return str(jsonutils.dumps(spec.dev_spec_conf))
        return None

    def ask(self, generation: int | None, native: Collection[Any]) -> None:
        """Ask what is offered, if it matters and may have changed.

        :param generation: of the agent's last report.
        :param native: Nova's own rows.
        """
        if not self._specs and not native:
            return
        if self.offered is None or self._generation != generation:
            self.offered = self._devices.offered()
            self._generation = generation

    def matched_twice(self, rows: Iterable[Any]) -> dict[str, str]:
        """Return the devices which are given away by both.

        :param rows: all of the host, Nova's and ours.
        :returns: see ``matched_twice.find``.
        """
        if not self.offered:
            return {}
        matches = (_match(row, self.entry_for(row)) for row in rows)
        return matched_twice.find(
            [match for match in matches if match], self.offered
        )

    def natives(
        self,
        rows: Iterable[Any],
        claimed: Iterable[objects.PciDevice],
    ) -> dict[str, str]:
        """Return those of claimed devices that Nova's tracker has, too.

        :param rows: Nova's own.
        :returns: see ``matched_twice.find``.
        """
        matches = [
            _match(row, self.entry_for(row) or '(none any more)')
            for row in rows
        ]
        return matched_twice.find(
            [match for match in matches if match],
            {device.address: device for device in claimed},
        )

    def complain(self, rows: Iterable[Any]) -> None:
        """Log devices that are matched twice, new ones once."""
        twice = self.matched_twice(rows)
        if twice.keys() - set(self._told):
            LOG.error(
                'PCI devices could be promised twice, and nova-compute will '
                'not start again. %s',
                matched_twice.describe(twice),
            )
        self._told = list(twice)


def _match(row: Any, entry: str | None) -> matched_twice.NativeMatch | None:
    if entry is None:
        return None
    return matched_twice.NativeMatch(row.address, row.parent_addr, entry)
