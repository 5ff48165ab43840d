# SPDX-License-Identifier: Apache-2.0
"""Attaches and detaches interfaces with PCI flavors in nova-compute.

Nova saves all requests of an instance together. If two interfaces of an
instance were attached or detached at the same time, a request could get lost,
and with it the device that the guest has. So a lock serializes them here.
Interfaces without PCI flavors share the lock: of an instance that neither has
nor gets devices of PCI flavors, none waits for another.
"""

from collections.abc import Callable
import contextlib
import functools
import threading
from typing import Any

from oslo_concurrency import lockutils
from oslo_log import log as logging

from pci_passthrough.nova_plugin import requests
from pci_passthrough.nova_plugin import user_errors
from pci_passthrough.nova_plugin.compat import errors
from pci_passthrough.nova_plugin.compat import network as nova_network
from pci_passthrough.nova_plugin.compute import attachment
from pci_passthrough.nova_plugin.compute import holders

LOG = logging.getLogger(__name__)


class _Attaching:
    """An interface that is being attached.

    :ivar lock: holds the instance's lock, as soon as it is needed.
    :ivar claimed: ids of the requests for PCI flavors that were claimed.
    """

    def __init__(self) -> None:
        self.lock = contextlib.ExitStack()
        self.claimed: set[str] = set()


class _Thread(threading.local):
    attaching: _Attaching | None = None


_thread = _Thread()


def wrap_attach(original: Callable[..., Any]) -> Callable[..., Any]:
    """Replace ``nova.compute.manager.ComputeManager._attach_interface``.

    nova-compute calls it for each attach request. Nova frees the claimed
    device if the driver fails. The replacement frees it also if Neutron
    fails. Without a claimed device of a PCI flavor it does nothing.
    """

    @functools.wraps(original)
    def _attach_interface(
        manager: Any, context: Any, instance: Any, *args: Any, **kwargs: Any
    ) -> Any:
        attaching = _Attaching()
        _thread.attaching = attaching
        with attaching.lock:
            try:
                return original(manager, context, instance, *args, **kwargs)
            except (
                user_errors.RequestRefused,
                user_errors.PciFlavorsUnavailable,
            ) as error:
                # nova-api does not know classes of this project.
                raise _failed(instance) from error
            except Exception:
                if attaching.claimed:
                    _free_unused(manager, context, instance, attaching)
                raise
            finally:
                _thread.attaching = None

    return _attach_interface


def _free_unused(
    manager: Any, context: Any, instance: Any, attaching: _Attaching
) -> None:
    """Free the devices of an interface that was not attached."""
    # The guest may have the device of a listed interface.
    kept = {vif['id'] for vif in instance.get_network_info()}
    _free(
        manager,
        context,
        instance,
        lambda request: (
            request.request_id in attaching.claimed
            and request.requester_id not in kept
        ),
    )


def wrap_claim(original: Callable[..., Any]) -> Callable[..., Any]:
    """Replace ``ComputeManager._claim_pci_device_for_interface_attach``.

    nova-compute calls it while it attaches an interface, before it reads the
    requests of the instance. The replacement takes the instance's lock until
    the interface is attached. If the interface asks for a PCI flavor, it
    raises the error that Nova expects from a failed claim.
    """

    @functools.wraps(original)
    def _claim_pci_device_for_interface_attach(
        manager: Any, context: Any, instance: Any, pci_reqs: Any
    ) -> Any:
        claimed = requests.for_pci_flavors(pci_reqs.requests)
        attaching = _thread.attaching
        if attaching is not None:
            attaching.lock.enter_context(
                _lock(manager, instance, is_alone=bool(claimed))
            )
        if not claimed:
            return original(manager, context, instance, pci_reqs)
        try:
            row = original(manager, context, instance, pci_reqs)
        except errors.ComputeResourcesUnavailable as error:
            LOG.info(
                'Refusing an interface of instance %(uuid)s: %(error)s',
                {'uuid': instance.uuid, 'error': error},
            )
            raise _failed(instance) from error
        if attaching is not None:
            attaching.claimed = {request.request_id for request in claimed}
        return row

    return _claim_pci_device_for_interface_attach


def wrap_detach(original: Callable[..., Any]) -> Callable[..., Any]:
    """Replace ``nova.compute.manager.ComputeManager._detach_interface``.

    nova-compute calls it for each detach request. The replacement detaches
    one interface at a time if the instance holds devices of PCI flavors.
    """

    @functools.wraps(original)
    def _detach_interface(
        manager: Any, context: Any, instance: Any, port_id: str
    ) -> None:
        with _lock(manager, instance):
            original(manager, context, instance, port_id)

    return _detach_interface


def wrap_port_deleted(original: Callable[..., Any]) -> Callable[..., Any]:
    """Replace ``ComputeManager._process_instance_vif_deleted_event``.

    nova-compute calls it after Neutron's event that a port was deleted. Nova
    detaches the interface, and keeps the device for the instance. The
    replacement frees the device if it is one of a PCI flavor.
    """

    @functools.wraps(original)
    def _process_instance_vif_deleted_event(
        manager: Any, context: Any, instance: Any, deleted_vif_id: str
    ) -> None:
        if not holders.holds_devices(manager.rt, instance):
            original(manager, context, instance, deleted_vif_id)
            return
        with _lock(manager, instance, is_alone=True):
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


def _lock(manager: Any, instance: Any, is_alone: bool = False) -> Any:
    """Return the lock that serializes changes of an instance's interfaces.

    :param is_alone: whether no other interface may be changed meanwhile. It
        may not either while the instance holds devices of PCI flavors.
    """
    lock = lockutils.internal_fair_lock(
        f'pci_passthrough-interfaces-{instance.uuid}'
    )
    if is_alone or holders.holds_devices(manager.rt, instance):
        return lock.write_lock()
    return lock.read_lock()


def _requests(instance: Any) -> list[Any]:
    pci_requests = instance.pci_requests
    return requests.for_pci_flavors(
        pci_requests.requests if pci_requests else ()
    )


def _failed(instance: Any) -> Exception:
    error: Exception = nova_network.InterfaceAttachPciClaimFailed(
        instance_uuid=instance.uuid
    )
    return error
