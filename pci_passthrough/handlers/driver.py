# SPDX-License-Identifier: Apache-2.0
"""``driver``: the function is bound to a named driver of the host."""

from pci_passthrough.handlers import driver_binding
from pci_passthrough.handlers import function_files
from pci_passthrough.handlers import interface


class DriverHandler(interface.DeviceHandler):
    """Binds the function to a driver before it is offered.

    ``driver:vfio-pci`` keeps every driver of the host away from the device,
    so that no disk or interface of it appears on the host between guests.
    """

    def __init__(self, argument: str | None, host: interface.Host) -> None:
        super().__init__(None, host)
        if argument is None or not function_files.DRIVER_NAME.fullmatch(
            argument
        ):
            raise ValueError(
                'needs the name of a driver, for example driver:vfio-pci'
            )
        self._driver = argument

    def supports(self, device: interface.Device) -> bool:
        """Any function but a vdpa device, whose parent has the driver."""
        return device.is_function and device.dev_type != 'vdpa'

    def setup(
        self, device: interface.Device, progress: interface.Progress
    ) -> str:
        """Bind the function.

        :raises HandlerError: the driver does not take it.
        """
        return driver_binding.bind(
            self.host.root, device.address, self._driver
        )
