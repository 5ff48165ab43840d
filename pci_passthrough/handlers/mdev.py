# SPDX-License-Identifier: Apache-2.0
"""``mdev``: makes a mediated device, and makes it anew for its next owner."""

import errno

from pci_passthrough.handlers import driver_binding
from pci_passthrough.handlers import interface
from pci_passthrough.handlers.privileged import mediated
from pci_passthrough.objects import fields
from pci_passthrough.resource_types import mdev
from pci_passthrough.resource_types import mdev_files

_REASONS = {
    errno.EUSERS: 'its function can make no more of its type',
    errno.EEXIST: 'the function has another device with its UUID',
}


class MdevHandler(interface.DeviceHandler):
    """Makes and removes one mediated device.

    What a guest leaves in it (memory of a GPU's slice) disappears with it: the
    driver gives a new device its memory anew. See vfio-mediated-device.rst in
    the kernel's Documentation/driver-api.
    """

    def supports(self, device: interface.Device) -> bool:
        """Mediated devices on a PCI function."""
        return (
            device.resource_type == fields.ResourceType.MDEV
            and device.parent_addr is not None
        )

    def obstacle(self, device: interface.Device) -> str | None:
        """Return why the function cannot make the device now, or None."""
        wanted = device.extra_info.get(mdev.TYPE_TAG, '')
        parent = str(device.parent_addr)
        kind = mdev_files.supported(self.host.root, parent, wanted)
        if kind is None:
            return f'{parent} makes no mediated devices of type {wanted}'
        if kind.available or device.address in kind.devices:
            return None
        return f'{parent} can make no more of type {wanted}'

    def is_set_up(self, device: interface.Device) -> bool:
        """Whether the device exists: it does not after a start of the host."""
        return self._type(device) is not None

    def setup(
        self, device: interface.Device, progress: interface.Progress
    ) -> str:
        """Make the device, if it does not exist.

        :raises HandlerError: the driver makes none, or it is of another type.
        """
        wanted = device.extra_info.get(mdev.TYPE_TAG, '')
        present = self._type(device)
        if present == wanted:
            return f'exists, of type {wanted}'
        if present is not None:
            raise interface.HandlerError(
                f'it exists, and is of type {present}, not {wanted}'
            )
        progress(None, f'making a mediated device of type {wanted}')
        try:
            mediated.create(str(device.parent_addr), wanted, device.address)
        except OSError as error:
            raise interface.HandlerError(
                f'the driver of {device.parent_addr} makes none: '
                + _REASONS.get(error.errno or 0, str(error.strerror))
            ) from error
        driver_binding.wait_until(
            lambda: self._type(device) == wanted,
            f'the kernel does not show it as {wanted}',
        )
        return f'made, of type {wanted} on {device.parent_addr}'

    def clean(
        self, device: interface.Device, progress: interface.Progress
    ) -> str:
        """Remove the device; ``setup`` makes it anew.

        :raises HandlerError: the driver refuses.
        """
        if self._type(device) is None:
            return 'does not exist'
        progress(None, 'removing the mediated device')
        try:
            mediated.remove(str(device.parent_addr), device.address)
        except OSError as error:
            raise interface.HandlerError(
                f'the driver does not remove it: {error.strerror}'
            ) from error
        driver_binding.wait_until(
            lambda: self._type(device) is None, 'the kernel still shows it'
        )
        return f'removed from {device.parent_addr}'

    def verify(
        self, device: interface.Device, progress: interface.Progress
    ) -> str:
        """Check that the used device is gone.

        :raises HandlerError: it is still there.
        """
        if self._type(device) is not None:
            raise interface.HandlerError('the used device still exists')
        return 'the used device is gone'

    def _type(self, device: interface.Device) -> str | None:
        return mdev_files.type_of(self.host.root, device.address)
