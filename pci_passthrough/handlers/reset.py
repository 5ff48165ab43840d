# SPDX-License-Identifier: Apache-2.0
"""``reset``: the kernel resets the function."""

from pci_passthrough.handlers import function_files
from pci_passthrough.handlers import interface
from pci_passthrough.handlers.privileged import attributes


class ResetHandler(interface.DeviceHandler):
    """Resets a function by the best method that the kernel offers for it.

    The kernel tries the methods in the order of ``reset_method`` (Linux 5.15
    and later; Documentation/ABI/testing/sysfs-bus-pci). A function without
    the file ``reset`` cannot be reset alone. Whether a reset clears memory is
    the hardware's affair, and nothing in sysfs tells.
    """

    def supports(self, device: interface.Device) -> bool:
        """Any function can have a reset; the kernel tells if it has."""
        return device.is_function

    def obstacle(self, device: interface.Device) -> str | None:
        """Return why the kernel cannot reset the function, or None."""
        function = self._function(device)
        if not function.files.exists(f'{function.folder}/reset'):
            return (
                'the kernel offers no reset of this function alone (no file '
                'reset in sysfs)'
            )
        if function.read('reset_method') == '':
            return (
                'all methods of reset are switched off (reset_method is empty)'
            )
        return None

    def _function(
        self, device: interface.Device
    ) -> function_files.FunctionFiles:
        return function_files.FunctionFiles(self.host.root, device.address)

    def clean(
        self, device: interface.Device, progress: interface.Progress
    ) -> str:
        """Reset the function.

        :raises HandlerError: the kernel offers no reset, or it failed.
        """
        obstacle = self.obstacle(device)
        if obstacle is not None:
            raise interface.HandlerError(obstacle)
        methods = self._function(device).read('reset_method')
        names = methods or 'unknown, as the kernel has no reset_method'
        progress(None, f'resetting; methods of the kernel: {names}')
        try:
            attributes.reset(device.address)
        except OSError as error:
            raise interface.HandlerError(
                f'the reset failed: {error.strerror}',
                f'methods that the kernel offers: {names}',
            ) from error
        first = methods.split()[0] if methods else "the kernel's choice"
        return (
            f'reset done; methods that the kernel offers, in its order: '
            f'{names}; it takes the first that works, {first} if that does'
        )
