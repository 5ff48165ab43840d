# SPDX-License-Identifier: Apache-2.0
"""Compares a host's nova.conf with its pci_information."""

from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any

from oslo_log import log as logging
from oslo_serialization import jsonutils

from pci_passthrough import objects
from pci_passthrough.nova_plugin.compute import host_conductor
from pci_passthrough.nova_plugin.compute import matched_twice
from pci_passthrough.nova_plugin.compute import own_vgpus

LOG = logging.getLogger(__name__)


class DeviceSpec:
    """``[pci] device_spec`` of a host, and the devices its agent offers.

    :param dev_filter: Nova's ``Whitelist``.
    :param conductor: the conductor, for this host.
    :param vgpus: the GPUs that Nova itself makes mediated devices of.
    :ivar offered: address to device that the agent offers; None means not
        known.
    """

    def __init__(
        self,
        dev_filter: Any,
        conductor: host_conductor.HostConductor,
        vgpus: own_vgpus.OwnVgpus,
    ) -> None:
        self._specs = dev_filter.specs
        self._conductor = conductor
        self._vgpus = vgpus
        self._generation: int | None = None
        self._logged: Collection[str] = ()
        self.offered: dict[str, objects.PciDevice] | None = None

    def entry_for(self, row: Any) -> str | None:
        """Return the entry that matches the device of a row, as JSON."""
        # Whitelist.get_devspec is replaced, and answers for attachments, too.
        for spec in self._specs:
            if spec.match_pci_obj(row):
                return str(jsonutils.dumps(spec.dev_spec_conf))
        return None

    def refresh(self, generation: int | None, native: Collection[Any]) -> None:
        """Get the offered devices from the conductor if they have changed.

        A host without an entry, without native devices and without vGPUs of
        Nova does not need them.

        :param generation: of the agent's last report.
        :param native: the native rows of Nova's tracker.
        """
        if not self._specs and not native and not self._vgpus:
            return
        if self.offered is None or self._generation != generation:
            self.offered = self._conductor.offered_devices()
            self._generation = generation

    def matched_twice(self, rows: Iterable[Any]) -> dict[str, str]:
        """Return the devices that both configurations match.

        :param rows: all rows of this host, native ones and attachments.
        :returns: see ``matched_twice.find``.
        """
        if not self.offered:
            return {}
        matches = (_match(row, self.entry_for(row)) for row in rows)
        return _find(matches, self._vgpus, self.offered)

    def native_devices(
        self,
        rows: Iterable[Any],
        claimed: Iterable[objects.PciDevice],
    ) -> dict[str, str]:
        """Return the claimed devices that Nova's tracker has, too.

        :param rows: the native rows of Nova's tracker.
        :param claimed: devices that the conductor has just claimed.
        :returns: see ``matched_twice.find``.
        """
        matches = [
            _match(row, self.entry_for(row) or '(none any more)')
            for row in rows
        ]
        return _find(
            matches,
            self._vgpus,
            {device.address: device for device in claimed},
        )

    def log_matched_twice(self, rows: Iterable[Any]) -> None:
        """Log the devices that both configurations match, each once.

        :param rows: all rows of this host, native ones and attachments.
        """
        twice = self.matched_twice(rows)
        if twice.keys() - set(self._logged):
            LOG.error(
                'PCI devices could be promised twice, and nova-compute will '
                'not start again. %s',
                matched_twice.describe(twice),
            )
        self._logged = list(twice)


def _match(row: Any, entry: str | None) -> matched_twice.NativeMatch | None:
    if entry is None:
        return None
    return matched_twice.NativeMatch(row.address, row.parent_addr, entry)


def _find(
    native: Iterable[matched_twice.NativeMatch | None],
    vgpus: own_vgpus.OwnVgpus,
    offered: Mapping[str, objects.PciDevice],
) -> dict[str, str]:
    matches = [match for match in native if match]
    return matched_twice.find([*matches, *vgpus.matches(offered)], offered)
