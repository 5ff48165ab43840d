# SPDX-License-Identifier: Apache-2.0
"""Finds resource types by the names that entries of pci_information have."""

from collections.abc import Mapping
import functools
import importlib.metadata
import types
from typing import Any

from oslo_log import log
import stevedore

from pci_passthrough.objects import fields
from pci_passthrough.resource_types import interface
from pci_passthrough.resource_types import mdev
from pci_passthrough.resource_types import usb

LOG = log.getLogger(__name__)

#: Namespace of the entry points with resource types of other packages.
NAMESPACE = 'pci_passthrough.resource_types'

#: The resource types of this project; no other package can replace them.
SHIPPED: tuple[type[interface.ResourceType], ...] = (
    mdev.MediatedDevices,
    usb.UsbDevices,
)


@functools.cache
def load() -> Mapping[str, interface.ResourceType]:
    """Return all resource types but that of PCI functions, by name.

    A package that cannot be imported, or that brings no resource type, is
    logged and left out: an entry that names its type is refused.
    """
    resource_types = {
        **_from_elsewhere(),
        **{resource_type.name: resource_type() for resource_type in SHIPPED},
    }
    return types.MappingProxyType(resource_types)


def _from_elsewhere() -> dict[str, interface.ResourceType]:
    manager = stevedore.ExtensionManager(
        NAMESPACE, on_load_failure_callback=_log_failure
    )
    reserved = (
        fields.ResourceType.PCI,
        *(shipped.name for shipped in SHIPPED),
    )
    resource_types = {}
    for extension in manager:
        obstacle = _obstacle(extension.name, extension.plugin, reserved)
        if obstacle is None:
            resource_types[extension.name] = extension.plugin()
        else:
            LOG.error(
                'Ignoring resource type %s of %s: %s',
                extension.name,
                extension.entry_point.value,
                obstacle,
            )
    return resource_types


def _obstacle(name: str, plugin: Any, reserved: tuple[str, ...]) -> str | None:
    """Return why an entry point is no usable resource type, or None."""
    if not (
        isinstance(plugin, type) and issubclass(plugin, interface.ResourceType)
    ):
        return f'{plugin} is no ResourceType'
    if getattr(plugin, 'name', None) != name:
        return f'its class has the name {getattr(plugin, "name", None)!r}'
    if name in reserved:
        return 'pci_passthrough has one of that name'
    if not fields.ResourceType.NAME.fullmatch(name):
        return 'its name is not one of lower-case letters, digits, _ and -'
    return None


def _log_failure(
    _manager: stevedore.ExtensionManager[Any],
    entry_point: importlib.metadata.EntryPoint,
    error: BaseException,
) -> None:
    LOG.error(
        'Ignoring resource type %s of %s, which cannot be imported: %s',
        entry_point.name,
        entry_point.value,
        error,
    )
