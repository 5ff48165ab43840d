# SPDX-License-Identifier: Apache-2.0
"""A resource type of another package, for the tests and for the guide."""

# The example begins here.
from collections.abc import Iterator
import pathlib

from pci_passthrough import handlers
from pci_passthrough import resource_types
from pci_passthrough.objects import device as device_obj


class LicenseSlots(resource_types.ResourceType):
    """Licenses that one instance can have at a time.

    Each line of ``/etc/licenses`` names one.
    """

    name = 'license'
    default_handlers = ('license-return',)

    def find(
        self, host: resource_types.Host
    ) -> Iterator[resource_types.Found]:
        """Return a device for each license; nothing of it reaches a guest."""
        listing = pathlib.Path(host.root or '/', 'etc/licenses')
        if listing.exists():
            for name in listing.read_text().split():
                yield resource_types.Found(
                    device_obj.described(
                        resource_type=self.name, address=name.lower()
                    )
                )


class LicenseReturn(handlers.DeviceHandler):
    """Ends the lease of a license that an instance has given back."""

    def supports(self, device: handlers.Device) -> bool:
        return device.resource_type == LicenseSlots.name

    def clean(
        self, device: handlers.Device, progress: handlers.Progress
    ) -> str:
        """Remove the lease."""
        lease = pathlib.Path(self.host.root, 'run/leases', device.address)
        lease.unlink(missing_ok=True)
        return f'the lease of {device.address} has ended'
