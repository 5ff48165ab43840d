# SPDX-License-Identifier: Apache-2.0
"""Limits of what one host can have in the database. Pure."""

from collections.abc import Collection
import dataclasses

from pci_passthrough import exception
from pci_passthrough import objects

#: Addresses of devices that are not offered: a report may have this many, or
#: four times ``devices`` if that is more.
_ADDRESSES = 16384


@dataclasses.dataclass(frozen=True, slots=True)
class HostBudget:
    """How much a host can report.

    :ivar devices: devices, offered, refused or held.
    :ivar pool_keys: pools, which are different combinations of properties
        and tags.
    :ivar tag_bytes: bytes of the tags of all devices of a report, in UTF-8.
    """

    devices: int = 4096
    pool_keys: int = 256
    tag_bytes: int = 1024**2

    def check_report(self, report: objects.HostReport) -> None:
        """Check a report, before anything is read or locked for it.

        :raises: HostOverBudget
        """
        host = str(report.host)[:255]
        devices = [*report.offered, *report.get('refused', ())]
        _check(host, 'devices', len(devices), self.devices, 'host_devices')
        _check(
            host,
            'addresses of devices that are not offered',
            max(
                len(report.withdrawn) + len(report.gone),
                len(report.get('withdrawn_hardware', ())),
            ),
            max(_ADDRESSES, 4 * self.devices),
            'host_devices',
        )
        # A lone surrogate is no reason to fail here: what cannot be recorded
        # is left out later.
        size = sum(
            len(text.encode(errors='surrogatepass'))
            for device in devices
            for tag in device.extra_info.items()
            for text in tag
        )
        _check(host, 'bytes of tags', size, self.tag_bytes, 'host_tag_bytes')

    def check_devices(
        self, host: str, devices: Collection[objects.PciDevice]
    ) -> None:
        """Check the devices that a host would have after a report.

        :raises: HostOverBudget
        """
        _check(host, 'devices', len(devices), self.devices, 'host_devices')
        keys = {objects.PoolKey.of(device) for device in devices}
        _check(host, 'pools', len(keys), self.pool_keys, 'host_pool_keys')


def _check(host: str, noun: str, count: int, most: int, option: str) -> None:
    if count > most:
        raise exception.HostOverBudget(host, noun, count, most, option)
