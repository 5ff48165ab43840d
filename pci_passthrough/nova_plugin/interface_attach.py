# SPDX-License-Identifier: Apache-2.0
"""Interfaces of PCI flavors that come to an instance which exists, and go.

nova-compute makes the request and claims the device. nova-api, where a user
waits for the answer, checks first what can be checked: nova-compute's errors
do not travel well, and a nova-compute without the door would attach an
interface of any kind.
"""

from collections.abc import Callable
import functools
from typing import Any

from oslo_log import log as logging

from pci_passthrough import claims
from pci_passthrough import exception
from pci_passthrough.nova_plugin import asked_nics
from pci_passthrough.nova_plugin import attachment
from pci_passthrough.nova_plugin import client
from pci_passthrough.nova_plugin import nics
from pci_passthrough.nova_plugin import requests
from pci_passthrough.nova_plugin.compat import errors
from pci_passthrough.nova_plugin.compat import network as nova_network
from pci_passthrough.nova_plugin.compat import scheduling
from pci_passthrough.objects import fields

LOG = logging.getLogger(__name__)


class InterfaceRefused(nova_network.InterfaceAttachPciClaimFailed):
    """An interface asks for what cannot be given: HTTP 400."""

    msg_fmt = '%(reason)s'


# -- nova-api --


def wrap_attach_interface(original: Callable[..., Any]) -> Callable[..., Any]:
    """Check what an interface asks for before nova-compute is asked."""

    @functools.wraps(original)
    def attach_interface(
        api: Any,
        context: Any,
        instance: Any,
        network_id: str | None,
        port_id: str | None,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        with requests.refused_as(InterfaceRefused):
            is_ours = _check(context, instance, network_id, port_id)
        asked_nics.send_with(context)
        vif = original(
            api, context, instance, network_id, port_id, *args, **kwargs
        )
        if is_ours:
            new = _requests_for(context, instance, vif['id'])
            _reschedule(context, instance, lambda kept: [*kept, *new])
        return vif

    return attach_interface


def wrap_detach_interface(original: Callable[..., Any]) -> Callable[..., Any]:
    """Look for no device any more for an interface that goes."""

    @functools.wraps(original)
    def detach_interface(
        api: Any, context: Any, instance: Any, port_id: str
    ) -> Any:
        has_device = any(
            vif['id'] == port_id and vif['vnic_type'] in fields.VnicType.ALL
            for vif in instance.get_network_info()
        )
        # nova-compute forgets it any moment after it was asked.
        found = _requests_for(context, instance, port_id) if has_device else []
        going = {request.request_id for request in found}
        result = original(api, context, instance, port_id)
        if going:
            _reschedule(
                context,
                instance,
                lambda kept: [r for r in kept if r.request_id not in going],
            )
        return result

    return detach_interface


def _requests_for(context: Any, instance: Any, port_id: str) -> list[Any]:
    """Return the requests of ours that an instance has for a port."""
    found = scheduling.pci_requests_of(context, instance.uuid)
    return [
        request
        for request in requests.ours(found.requests)
        if request.requester_id == port_id
    ]


def _reschedule(
    context: Any, instance: Any, change: Callable[[list[Any]], list[Any]]
) -> None:
    """Have the scheduler look for other devices when the instance moves.

    Nova itself goes on with those that the server was created with.
    """
    try:
        spec = scheduling.request_spec_of(context, instance.uuid)
    except scheduling.RequestSpecNotFound:
        return
    kept = spec.pci_requests.requests if spec.pci_requests else []
    spec.pci_requests = scheduling.InstancePCIRequests(
        instance_uuid=instance.uuid, requests=change(list(kept))
    )
    spec.save()


def _check(
    context: Any,
    instance: Any,
    network_id: str | None,
    port_id: str | None,
) -> bool:
    """Refuse an interface that cannot be attached.

    :returns: whether it asks for a PCI flavor.
    :raises: PciFlavorNotFound, InvalidNic; Unavailable.
    """
    nic = nics.Nic(network_id, port_id, asked_nics.names_in(context).get(0))
    others = [str(vif['vnic_type']) for vif in instance.get_network_info()]
    (settled,) = nics.settle(context, [nic], others)
    if settled is None:
        return False
    if not instance.host:
        return True
    wanted = settled.request.to_pci_request()
    offer = client.conductor().offer([wanted], [instance.host])
    if offer.decide(instance.host) is None:
        reasons = offer.reasons(instance.host)
        LOG.info(
            'No interface of PCI flavor %(name)s for instance %(uuid)s: '
            '%(reasons)s',
            {
                'name': settled.alternative.name,
                'uuid': instance.uuid,
                'reasons': claims.summarize(reasons),
            },
        )
        raise exception.InvalidNic(
            f'no device of PCI flavor {settled.alternative.name!r} is free '
            "for the network on the instance's host"
        )
    return True


# -- nova-compute --


def wrap_claim_for_attach(original: Callable[..., Any]) -> Callable[..., Any]:
    """Say that a claim failed as Nova expects it here."""

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


def wrap_attach_interface_on_host(
    original: Callable[..., Any],
) -> Callable[..., Any]:
    """Leave nothing claimed for an interface that is not attached.

    Nova gives a claim back when the driver fails. When Neutron does, the
    device would stay the instance's.
    """

    @functools.wraps(original)
    def _attach_interface(
        manager: Any, context: Any, instance: Any, *args: Any, **kwargs: Any
    ) -> Any:
        before = _request_ids(instance)
        try:
            return original(manager, context, instance, *args, **kwargs)
        except (requests.RequestRefused, requests.PciFlavorsUnavailable) as e:
            # Classes of ours mean nothing to nova-api.
            raise _failed(instance) from e
        except Exception:
            _give_back(manager, context, instance, before)
            raise

    return _attach_interface


def wrap_port_deleted(original: Callable[..., Any]) -> Callable[..., Any]:
    """Take the device from an interface whose port somebody has deleted.

    Nova detaches the interface then, and keeps the device for the instance.
    """

    @functools.wraps(original)
    def _process_instance_vif_deleted_event(
        manager: Any, context: Any, instance: Any, deleted_vif_id: str
    ) -> None:
        original(manager, context, instance, deleted_vif_id)
        found = instance.pci_requests
        gone = {
            request.request_id
            for request in requests.ours(found and found.requests)
            if request.requester_id == deleted_vif_id
        }
        if gone:
            _free(manager, context, instance, gone)
            instance.save()

    return _process_instance_vif_deleted_event


def _give_back(
    manager: Any, context: Any, instance: Any, before: set[str]
) -> None:
    """Free devices of ours that came with requests since then."""
    new = _request_ids(instance) - before
    if new:
        _free(manager, context, instance, new)


def _free(
    manager: Any, context: Any, instance: Any, request_ids: set[str]
) -> None:
    """Take the devices of some requests, and these, from an instance."""
    for row in list(instance.pci_devices or ()):
        if row.request_id in request_ids and attachment.is_ours(row):
            LOG.info(
                '%(address)s is no interface of instance %(uuid)s: it is '
                'given back',
                {'address': row.address, 'uuid': instance.uuid},
            )
            manager.rt.unclaim_pci_devices(context, row, instance)
            instance.remove_pci_device_and_request(row)


def _request_ids(instance: Any) -> set[str]:
    found = instance.pci_requests
    return {one.request_id for one in found.requests} if found else set()


def _failed(instance: Any) -> Exception:
    made: Exception = nova_network.InterfaceAttachPciClaimFailed(
        instance_uuid=instance.uuid
    )
    return made
