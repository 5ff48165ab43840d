# SPDX-License-Identifier: Apache-2.0
"""Checks that no guest and no process has a device, before handlers touch it.

The host itself looks: a conductor's word alone is not enough.
"""

from collections.abc import Collection
from collections.abc import Mapping

from pci_passthrough import chroot_files
from pci_passthrough import handlers
from pci_passthrough import objects
from pci_passthrough import resource_types
from pci_passthrough.discovery import domain_use
from pci_passthrough.discovery import open_nodes
from pci_passthrough.handlers import function_files


class UntouchableDevice(Exception):
    """The host itself sees why a device must not be touched now."""


def check_unused(
    device: objects.PciDevice,
    domains: Collection[str],
    root: str,
    types: Mapping[str, resource_types.ResourceType],
) -> None:
    """Check that neither a guest nor another process has a device.

    :param domains: the XML of the running domains.
    :param root: the host's root directory.
    :param types: the resource types besides PCI functions.
    :raises UntouchableDevice: somebody has it, or nobody can tell.
    """
    resource_type = types.get(device.resource_type)
    try:
        if resource_type is None:
            user, nodes = _use_of_function(str(device.address), domains, root)
        else:
            user = _user_of(resource_type, device, domains, root)
            nodes = set(resource_type.nodes(device, root))
        files = chroot_files.ChrootFiles(root)
        opener = next(open_nodes.openers_of(files, nodes), None)
    except (OSError, ValueError, handlers.HandlerError) as error:
        raise UntouchableDevice(str(error)) from error
    if user is not None:
        raise UntouchableDevice(user)
    if opener is not None:
        raise UntouchableDevice(
            f'process {opener.process} has {opener.node} open'
        )


def _use_of_function(
    address: str, domains: Collection[str], root: str
) -> tuple[str | None, set[str]]:
    """Return who has a function or a virtual function of it, and its nodes."""
    users = domain_use.users(domains)
    function = function_files.FunctionFiles(root, address)
    nodes = set()
    user = None
    for touched in (address, *function.virtual_functions().values()):
        group = function_files.FunctionFiles(root, touched).iommu_group
        nodes |= open_nodes.nodes_of(function.files, touched, group)
        nodes |= open_nodes.vhost_nodes_of(function.files, touched)
        if user is None and touched in users:
            user = f'the running domain {users[touched]} has {touched}'
    return user, nodes


def _user_of(
    resource_type: resource_types.ResourceType,
    device: objects.PciDevice,
    domains: Collection[str],
    root: str,
) -> str | None:
    try:
        element = resource_type.guest_device(device, root)
    except resource_types.ResourceTypeError:
        # What is not there, or is another device, no guest has.
        return None
    user = None
    if element is not None:
        user = domain_use.user_of(element, domains)
    return f'the running domain {user} has {device.address}' if user else None
