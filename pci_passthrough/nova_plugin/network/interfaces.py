# SPDX-License-Identifier: Apache-2.0
"""Interfaces of PCI flavors that come to an instance on a host, and go.

Nova saves an instance's requests as a whole, and does not mind that another
interface comes or goes meanwhile: a request that got lost would be that of a
device which the guest has. So one goes after the other here.
"""

from collections.abc import Callable
import functools
from typing import Any

from oslo_concurrency import lockutils
from oslo_log import log as logging

from pci_passthrough.nova_plugin import requests
from pci_passthrough.nova_plugin.compat import errors
from pci_passthrough.nova_plugin.compat import network as nova_network
from pci_passthrough.nova_plugin.compute import attachment

LOG = logging.getLogger(__name__)


def wrap_attach(original: Callable[..., Any]) -> Callable[..., Any]:
    """Leave nothing claimed for an interface that is not attached.

    Nova gives a claim back when the driver fails. When Neutron does, the
    device would stay the instance's.
    """

    @functools.wraps(original)
    def _attach_interface(
        manager: Any, context: Any, instance: Any, *args: Any, **kwargs: Any
    ) -> Any:
        with _alone(instance):
            before = _request_ids(instance)
            try:
                return original(manager, context, instance, *args, **kwargs)
            except (
                requests.RequestRefused,
                requests.PciFlavorsUnavailable,
            ) as error:
                # Classes of ours mean nothing to nova-api.
                raise _failed(instance) from error
            except Exception:
                # What is among its interfaces may be in the guest.
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
    """Say that a claim failed as Nova expects it for an interface."""

    @functools.wraps(original)
    def _claim_pci_device_for_interface_attach(
        manager: Any, context: Any, instance: Any, pci_reqs: Any
    ) -> Any:
        try:
            return original(manager, context, instance, pci_reqs)
        except errors.ComputeResourcesUnavailable as error:
            LOG.info(
                'No device for an interface of instance %(uuid)s: %(error)s',
                {'uuid': instance.uuid, 'error': error},
            )
            raise _failed(instance) from error

    return _claim_pci_device_for_interface_attach


def wrap_detach(original: Callable[..., Any]) -> Callable[..., Any]:
    """Let interfaces of an instance go one after the other."""

    @functools.wraps(original)
    def _detach_interface(
        manager: Any, context: Any, instance: Any, port_id: str
    ) -> None:
        with _alone(instance):
            original(manager, context, instance, port_id)

    return _detach_interface


def wrap_port_deleted(original: Callable[..., Any]) -> Callable[..., Any]:
    """Take the device from an interface whose port somebody has deleted.

    Nova detaches the interface then, and keeps the device for the instance.
    """

    @functools.wraps(original)
    def _process_instance_vif_deleted_event(
        manager: Any, context: Any, instance: Any, deleted_vif_id: str
    ) -> None:
        with _alone(instance):
            is_detached = _detached(manager, context, instance, deleted_vif_id)
            # To it, there is nothing left to detach.
            original(manager, context, instance, deleted_vif_id)
            if is_detached and _free(
                manager,
                context,
                instance,
                lambda request: request.requester_id == deleted_vif_id,
            ):
                instance.save()

    return _process_instance_vif_deleted_event


def _detached(manager: Any, context: Any, instance: Any, port_id: str) -> bool:
    """Detach an interface with a device of ours.

    Nova does not tell whether it could.

    :returns: whether there was one, and the guest has it no longer.
    """
    vifs = [v for v in instance.get_network_info() if v['id'] == port_id]
    if not vifs or not any(
        request.requester_id == port_id for request in _requests(instance)
    ):
        return False
    try:
        manager.driver.detach_interface(context, instance, vifs[0])
    except nova_network.NovaException as error:
        LOG.warning(
            'The port %(port)s of instance %(uuid)s was deleted, and its '
            'interface cannot be detached: %(error)s. The instance keeps the '
            'device',
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
    """Take the devices of some requests of ours, and these, from an instance.

    :returns: whether there are any.
    """
    over = {one.request_id for one in _requests(instance) if is_over(one)}
    rows = [
        row
        for row in (instance.pci_devices or () if over else ())
        if row.request_id in over and attachment.is_ours(row)
    ]
    for row in rows:
        LOG.info(
            '%(address)s is no interface of instance %(uuid)s: it is given '
            'back',
            {'address': row.address, 'uuid': instance.uuid},
        )
        # First: the row forgets whose it was.
        instance.remove_pci_device_and_request(row)
        manager.rt.unclaim_pci_devices(context, row, instance)
    return bool(rows)


def _alone(instance: Any) -> Any:
    return lockutils.lock(f'pci_passthrough-interfaces-{instance.uuid}')


def _requests(instance: Any) -> list[Any]:
    found = instance.pci_requests
    return requests.ours(found.requests if found else ())


def _request_ids(instance: Any) -> set[str]:
    return {one.request_id for one in _requests(instance)}


def _failed(instance: Any) -> Exception:
    made: Exception = nova_network.InterfaceAttachPciClaimFailed(
        instance_uuid=instance.uuid
    )
    return made
