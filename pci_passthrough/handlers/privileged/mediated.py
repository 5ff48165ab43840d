# SPDX-License-Identifier: Apache-2.0
"""Makes and removes the mediated devices of one PCI function."""

from pci_passthrough.handlers import interface
from pci_passthrough.handlers import privileged
from pci_passthrough.handlers.privileged import attributes
from pci_passthrough.resource_types import mdev_files


@privileged.files.entrypoint
def create(address: str, kind: str, identifier: str) -> None:
    """Let the driver of a function make a mediated device.

    :param address: of the function.
    :param kind: the driver's name of the type.
    :param identifier: the UUID of the device.
    :raises HandlerError: the function has no such type, or a value has not
        the form of its kind.
    :raises OSError: the driver refuses.
    """
    if not mdev_files.TYPE_NAME.fullmatch(kind):
        raise interface.HandlerError(f'{kind!r} is no type')
    _check_uuid(identifier)
    function = privileged.function(address)
    try:
        place = function.path(f'mdev_supported_types/{kind}/create')
    except FileNotFoundError as error:
        raise interface.HandlerError(
            f'{address} makes no mediated devices of type {kind}'
        ) from error
    attributes.write(place, identifier)


@privileged.files.entrypoint
def remove(address: str, identifier: str) -> None:
    """Remove a mediated device, if it exists.

    :raises HandlerError: the UUID is malformed.
    :raises OSError: the driver refuses.
    """
    _check_uuid(identifier)
    function = privileged.function(address)
    try:
        place = function.path(f'{identifier}/remove')
    except FileNotFoundError:
        return
    attributes.write(place, '1')


def _check_uuid(identifier: str) -> None:
    if not mdev_files.UUID.fullmatch(identifier):
        raise interface.HandlerError(f'{identifier!r} is no UUID')
