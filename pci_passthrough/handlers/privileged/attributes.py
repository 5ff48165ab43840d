# SPDX-License-Identifier: Apache-2.0
"""Writes the attributes of one PCI function in sysfs."""

import os

from pci_passthrough.handlers import function_files
from pci_passthrough.handlers import interface
from pci_passthrough.handlers import privileged


@privileged.files.entrypoint
def reset(address: str) -> None:
    """Let the kernel reset a function.

    :raises OSError: the kernel refuses.
    """
    write(privileged.function(address).path('reset'), '1')


@privileged.files.entrypoint
def override_driver(address: str, driver: str) -> None:
    """Let only one driver match a function.

    :param driver: empty to let the kernel choose again.
    :raises HandlerError: the name has not the form of a driver's.
    """
    if driver and not function_files.DRIVER_NAME.fullmatch(driver):
        raise interface.HandlerError(f'{driver!r} is no name of a driver')
    write(privileged.function(address).path('driver_override'), f'{driver}\n')


@privileged.files.entrypoint
def unbind(address: str) -> None:
    """Unbind a function from its driver, if it has one."""
    function = privileged.function(address)
    if function.driver is not None:
        write(function.path('driver/unbind'), address)


@privileged.files.entrypoint
def probe(address: str) -> None:
    """Let the kernel bind a function to a driver that matches."""
    function = privileged.function(address)
    write(
        os.path.join(
            function.files.root,
            function.files.resolve('sys/bus/pci/drivers_probe'),
        ),
        address,
    )


@privileged.files.entrypoint
def set_number_of_vfs(address: str, number: int) -> None:
    """Create virtual functions, or remove all of them.

    :param number: 0 to remove; the kernel takes another number only if there
        are none.
    """
    write(privileged.function(address).path('sriov_numvfs'), str(int(number)))


def write(path: str, text: str) -> None:
    """Write a file in sysfs, in a daemon with privileges.

    :param path: without links.
    :raises OSError: the kernel refuses.
    """
    descriptor = os.open(
        path, os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    )
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)
