# SPDX-License-Identifier: Apache-2.0
"""Attaches and detaches interfaces with PCI flavors in nova-compute.

Nova saves all requests of an instance together. If two interfaces of an
instance were attached or detached at the same time, a request could get lost,
and with it the device that the guest has. So a lock serializes them here.
"""

from collections.abc import Callable
import functools
from typing import Any

from oslo_concurrency import lockutils
from oslo_log import log as logging

from pci_passthrough.nova_plugin import requests
from pci_passthrough.nova_plugin import user_errors
from pci_passthrough.nova_plugin.compat import errors
from pci_passthrough.nova_plugin.compat import network as nova_network
from pci_passthrough.nova_plugin.compute import attachment

LOG = logging.getLogger(__name__)


def wrap_attach(original: Callable[..., Any]) -> Callable[..., Any]:
    """Replace ``nova.compute.manager.ComputeManager._attach_interface``.

    nova-compute calls it for each attach request. Nova frees the claimed
    device if the driver fails. The replacement frees it also if Neutron
    fails.
    """

    @functools.wraps(original)
    def _attach_interface(
        manager: Any, context: Any, instance: Any, *args: Any, **kwargs: Any
    ) -> Any:
        with _lock(instance):
            before = _request_ids(instance)
            try:
                return original(manager, context, instance, *args, **kwargs)
            except (
                user_errors.RequestRefused,
                user_errors.PciFlavorsUnavailable,
            ) as error:
                # nova-api does not know classes of this project.
                raise _failed(instance) from error
            except Exception:
                # The guest may have the device of a listed interface.
                kept = {vif['id'] for vif in instance.get_network_info()}
                _free(
                    manager,
                    context,
                    instance,
                    lambda request: (
                        request.request_id not in before
                        and request.requester_id not in kept
                    ),
                )
                raise

    return _attach_interface


def wrap_claim(original: Callable[..., Any]) -> Callable[..., Any]:
    """Replace ``ComputeManager._claim_pci_device_for_interface_attach``.

    nova-compute calls it while it attaches an interface. The replacement
    raises the error that Nova expects from a failed claim.
    """

    @functools.wraps(original)
    def _claim_pci_device_for_interface_attach(
        manager: Any, context: Any, instance: Any, pci_reqs: Any
    ) -> Any:
        try:
            return original(manager, context, instance, pci_reqs)
        except errors.ComputeResourcesUnavailable as error:
            LOG.info(
                'Refusing an interface of instance %(uuid)s: %(error)s',
                {'uuid': instance.uuid, 'error': error},
            )
            raise _failed(instance) from error

    return _claim_pci_device_for_interface_attach


def wrap_detach(original: Callable[..., Any]) -> Callable[..., Any]:
    """Replace ``nova.compute.manager.ComputeManager._detach_interface``.

    nova-compute calls it for each detach request. The replacement detaches
    one interface of an instance at a time.
    """

    @functools.wraps(original)
    def _detach_interface(
        manager: Any, context: Any, instance: Any, port_id: str
    ) -> None:
        with _lock(instance):
            original(manager, context, instance, port_id)

    return _detach_interface


def wrap_port_deleted(original: Callable[..., Any]) -> Callable[..., Any]:
    """Replace ``ComputeManager._process_instance_vif_deleted_event``.

    nova-compute calls it after Neutron's event that a port was deleted. Nova
    detaches the interface, and keeps the device for the instance. The
    replacement frees the device.
    """

    @functools.wraps(original)
    def _process_instance_vif_deleted_event(
        manager: Any, context: Any, instance: Any, deleted_vif_id: str
    ) -> None:
        with _lock(instance):
            is_detached = _detach(manager, context, instance, deleted_vif_id)
            # Nova's function finds the interface detached.
            original(manager, context, instance, deleted_vif_id)
            if is_detached and _free(
                manager,
                context,
                instance,
                lambda request: request.requester_id == deleted_vif_id,
            ):
                instance.save()

    return _process_instance_vif_deleted_event


def _detach(manager: Any, context: Any, instance: Any, port_id: str) -> bool:
    """Detach an interface with a device of a PCI flavor.

    Nova's own function does not return whether it could.

    :returns: False if the port has no such device, or if the guest still has
        the device.
    """
    vifs = [vif for vif in instance.get_network_info() if vif['id'] == port_id]
    if not vifs or not any(
        request.requester_id == port_id for request in _requests(instance)
    ):
        return False
    try:
        manager.driver.detach_interface(context, instance, vifs[0])
    except nova_network.NovaException as error:
        LOG.warning(
            'Could not detach the interface of deleted port %(port)s from '
            'instance %(uuid)s: %(error)s. The instance keeps the device',
            {'port': port_id, 'uuid': instance.uuid, 'error': error},
        )
        return False
    return True


def _free(
    manager: Any,
    context: Any,
    instance: Any,
    is_over: Callable[[Any], bool],
) -> bool:
    """Free devices of an instance, and remove their requests.

    :param is_over: whether to free the device of a request.
    :returns: whether a device was freed.
    """
    over = {
        request.request_id
        for request in _requests(instance)
        if is_over(request)
    }
    rows = [
        row
        for row in (instance.pci_devices or () if over else ())
        if row.request_id in over and attachment.is_attachment(row)
    ]
    for row in rows:
        LOG.info(
            'Freeing device %(address)s: instance %(uuid)s has no interface '
            'on it any more',
            {'address': row.address, 'uuid': instance.uuid},
        )
        # Before the row loses its owner and its request.
        instance.remove_pci_device_and_request(row)
        manager.rt.unclaim_pci_devices(context, row, instance)
    return bool(rows)


def _lock(instance: Any) -> Any:
    """Return the lock that serializes changes of an instance's interfaces."""
    return lockutils.lock(f'pci_passthrough-interfaces-{instance.uuid}')


def _requests(instance: Any) -> list[Any]:
    pci_requests = instance.pci_requests
    return requests.for_pci_flavors(
        pci_requests.requests if pci_requests else ()
    )


def _request_ids(instance: Any) -> set[str]:
    return {request.request_id for request in _requests(instance)}


def _failed(instance: Any) -> Exception:
    error: Exception = nova_network.InterfaceAttachPciClaimFailed(
        instance_uuid=instance.uuid
    )
    return error
