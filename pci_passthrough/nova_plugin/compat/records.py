# SPDX-License-Identifier: Apache-2.0
"""Nova's records, for a program that is none of Nova's processes.

Import it after ``configuration.read``: modules of Nova read options when they
are imported.
"""

from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
from typing import Any

from nova import context as nova_context
from nova import exception
from nova import objects
from nova.compute import vm_states
import nova.conf
from nova.pci import request as pci_request

__all__: list[str] = []

#: Instances that one query returns.
_PAGE = 200

#: What is converted of an instance.
_ATTRIBUTES = ['flavor', 'pci_requests']

_ALIAS = 'pci_passthrough:alias'

#: What Nova's objects raise, besides the errors of the database.
NovaException = exception.NovaException


class InvalidAliases(Exception):
    """``[pci] alias`` is malformed; the text says why."""


def flavors() -> list[Any]:
    """Return all Nova flavors."""
    return list(
        objects.FlavorList.get_all(
            nova_context.get_admin_context(), inactive=True
        )
    )


def instances() -> Iterator[Any]:
    """Yield all instances of all cells, bound to their cells."""
    context = nova_context.get_admin_context()
    for cell in objects.CellMappingList.get_all(context):
        if cell.is_cell0():
            continue
        with nova_context.target_cell(context, cell) as cell_context:
            yield from _instances_of(cell_context)


def _instances_of(context: Any) -> Iterator[Any]:
    marker = None
    while True:
        page = objects.InstanceList.get_by_filters(
            context,
            # Those that can still be restored have their devices, too.
            {'deleted': False, 'soft_deleted': True},
            # New instances come last, and move no page.
            sort_keys=['created_at', 'id'],
            sort_dirs=['asc', 'asc'],
            limit=_PAGE,
            marker=marker,
            expected_attrs=_ATTRIBUTES,
        )
        yield from page
        if len(page) < _PAGE:
            return
        marker = page[-1].uuid


def refreshed(instance: Any) -> Any | None:
    """Read an instance again; None if it was deleted."""
    try:
        return objects.Instance.get_by_uuid(
            instance._context, instance.uuid, expected_attrs=_ATTRIBUTES
        )
    except exception.InstanceNotFound:
        return None


def is_moving(instance: Any) -> bool:
    """Whether an operation of Nova may write the instance's requests."""
    return (
        instance.task_state is not None
        or instance.vm_state == vm_states.RESIZED
    )


def save_flavor(instance: Any) -> None:
    """Save the flavor of an instance, and not its requests."""
    # Nova writes the requests whenever they are loaded, and would undo a
    # change that was made since.
    del instance.pci_requests
    instance.save()


def building() -> list[Any]:
    """Return the instances that have no host and no cell yet."""
    requests = objects.BuildRequestList.get_all(
        nova_context.get_admin_context()
    )
    return [request.instance for request in requests]


def request_spec_of(instance_uuid: str) -> Any | None:
    """Return the request spec of an instance; None if it has none."""
    try:
        return objects.RequestSpec.get_by_instance_uuid(
            nova_context.get_admin_context(), instance_uuid
        )
    except exception.RequestSpecNotFound:
        return None


def pci_requests(instance_uuid: str, requests: Sequence[Any]) -> Any:
    """Return an ``InstancePCIRequests``."""
    return objects.InstancePCIRequests(
        instance_uuid=instance_uuid, requests=list(requests)
    )


def native_request(name: str) -> Any | None:
    """Return Nova's request for one device of an alias.

    :returns: None if nova.conf has no such alias.
    :raises InvalidAliases: Nova refuses ``[pci] alias``.
    """
    flavor = objects.Flavor(extra_specs={_ALIAS: f'{name}:1'})
    try:
        (request,) = pci_request.get_pci_requests_from_flavor(flavor).requests
    except exception.PciRequestAliasNotDefined:
        return None
    except exception.PciInvalidAlias as error:
        raise InvalidAliases(str(error)) from error
    return request


def port_spec(vnic_type: str | None, physical_network: str) -> dict[str, str]:
    """Return the spec of Nova's request for a port.

    Source: ``nova.network.neutron.API.create_resource_requests``.

    :param vnic_type: one that needs a device.
    """
    spec = {
        pci_request.PCI_NET_TAG: physical_network,
        pci_request.PCI_REMOTE_MANAGED_TAG: str(False),
    }
    dev_type = pci_request.DEVICE_TYPE_FOR_VNIC_TYPE.get(vnic_type)
    if dev_type:
        spec[pci_request.PCI_DEVICE_TYPE_TAG] = dev_type
    return spec


@contextlib.contextmanager
def aliases(lines: Sequence[str]) -> Iterator[None]:
    """Replace the values of ``[pci] alias`` for a while."""
    conf = nova.conf.CONF
    before = conf.pci.alias
    conf.set_override('alias', list(lines), 'pci')
    pci_request.get_alias_from_config.cache_clear()
    try:
        yield
    finally:
        conf.set_override('alias', before, 'pci')
        pci_request.get_alias_from_config.cache_clear()
