# SPDX-License-Identifier: Apache-2.0
"""Binds a function to a driver, and waits until it is bound."""

from collections.abc import Callable
import time

from pci_passthrough.handlers import function_files
from pci_passthrough.handlers import interface
from pci_passthrough.handlers.privileged import attributes
from pci_passthrough.objects import device as device_obj

#: Seconds that a driver may take until it has a function and its disks.
PATIENCE = 60.0
_PAUSE = 0.05


def bind(root: str, address: str, driver: str) -> str:
    """Bind a function to a driver by ``driver_override``.

    :returns: what was done.
    :raises HandlerError: the driver does not take the function.
    """
    function = function_files.FunctionFiles(root, address)
    before = function.driver
    try:
        attributes.override_driver(address, driver)
        if before == driver:
            return f'is bound to {driver}'
        attributes.unbind(address)
        attributes.probe(address)
    except OSError as error:
        raise interface.HandlerError(
            f'cannot bind it to {driver}: {error.strerror}'
        ) from error
    wait_until(
        lambda: function.driver == driver,
        f'driver {driver} does not take it; is the module loaded?',
    )
    return f'bound to {driver} (before: {before or "no driver"})'


def bring_to_host(root: str, address: str) -> str:
    """Bind a function to the host's own driver, if only a guest's has it.

    libvirt does so itself for devices with ``managed='yes'``, as Nova's are.

    :returns: what was done, empty if there was nothing to do.
    :raises HandlerError: no driver of the host takes the function.
    """
    function = function_files.FunctionFiles(root, address)
    before = function.driver
    if device_obj.is_host_driver(before):
        return ''
    try:
        attributes.override_driver(address, '')
        attributes.unbind(address)
        attributes.probe(address)
    except OSError as error:
        raise interface.HandlerError(
            f"cannot bind it to the host's driver: {error.strerror}"
        ) from error
    wait_until(
        lambda: device_obj.is_host_driver(function.driver),
        f'no driver of the host takes it (before: {before or "no driver"})',
    )
    return f'bound to {function.driver} (before: {before or "no driver"})\n'


def wait_until(condition: Callable[[], bool], error: str) -> None:
    """Return as soon as a condition is fulfilled.

    :raises HandlerError: it is not, in time; with the text.
    """
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise interface.HandlerError(error)
        time.sleep(_PAUSE)
