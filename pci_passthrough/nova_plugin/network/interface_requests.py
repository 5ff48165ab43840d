# SPDX-License-Identifier: Apache-2.0
"""Checks interfaces with PCI flavors in nova-api, before nova-compute.

nova-compute makes the request for a PCI flavor and claims the device. Checks
are made here, while the user waits for the answer: nova-api does not pass on
most errors of nova-compute, and a nova-compute without the Nova plugin would
attach an interface without the PCI flavor's device.

The scheduler's request is updated, too, for moves of the instance: Nova's
scheduler looks only for the devices that the server was created with.
"""

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterator
import functools
from typing import Any

from oslo_log import log as logging

from pci_passthrough import claims
from pci_passthrough import exception
from pci_passthrough.nova_plugin import client
from pci_passthrough.nova_plugin import loaded
from pci_passthrough.nova_plugin import quotas
from pci_passthrough.nova_plugin import requests
from pci_passthrough.nova_plugin import user_errors
from pci_passthrough.nova_plugin.compat import network as nova_network
from pci_passthrough.nova_plugin.compat import scheduling
from pci_passthrough.nova_plugin.network import asked_nics
from pci_passthrough.nova_plugin.network import nics
from pci_passthrough.objects import fields

LOG = logging.getLogger(__name__)


class InterfaceRefused(nova_network.InterfaceAttachPciClaimFailed):
    """An interface asks for a device that it cannot get: HTTP 400."""

    msg_fmt = '%(reason)s'


def wrap_attach_interface(original: Callable[..., Any]) -> Callable[..., Any]:
    """Replace ``nova.compute.rpcapi.ComputeAPI.attach_interface``.

    nova-api calls it after it has checked the state of the instance. The
    replacement checks an interface with a PCI flavor before the call. Only
    Neutron knows the tags of a port, so a port costs one call of Neutron.
    Outside a request to nova-api nothing is asked.
    """

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
        has_pci_flavor = False
        if asked_nics.current() is not None:
            with user_errors.refused_as(InterfaceRefused):
                has_pci_flavor = _check(context, instance, network_id, port_id)
            asked_nics.send_with(context)
        vif = original(
            api, context, instance, network_id, port_id, *args, **kwargs
        )
        if has_pci_flavor:
            _update_request_spec(context, instance)
        return vif

    return attach_interface


def wrap_detach_interface(original: Callable[..., Any]) -> Callable[..., Any]:
    """Replace ``nova.compute.rpcapi.ComputeAPI.detach_interface``.

    nova-api calls it, after it has loaded the interfaces of the instance. The
    replacement removes the interface from the scheduler's request afterwards.
    Only that request tells an SR-IOV port of a PCI flavor from others.
    """

    @functools.wraps(original)
    def detach_interface(
        api: Any, context: Any, instance: Any, port_id: str
    ) -> Any:
        result = original(api, context, instance, port_id)
        if any(
            vif['id'] == port_id and vif['vnic_type'] in fields.VnicType.ALL
            for vif in loaded.network_info(instance)
        ):
            # nova-compute detaches it without an answer, now or later.
            _update_request_spec(context, instance, detached=(port_id,))
        return result

    return detach_interface


def _check(
    context: Any,
    instance: Any,
    network_id: str | None,
    port_id: str | None,
) -> bool:
    """Check that an interface can be attached.

    :returns: whether the interface asks for a PCI flavor.
    :raises: PciFlavorNotFound, InvalidNic; Unavailable; QuotaExceeded.
    """
    nic = nics.Nic(network_id, port_id, asked_nics.names_in(context).get(0))
    if nic.pci_flavor is not None:
        nova_network.check_network(context, network_id)
    (resolved,) = nics.resolve(context, [nic], _vnic_types(instance))
    if resolved is None:
        return False
    held = scheduling.pci_requests_of(context, instance.uuid).requests
    nics.check_number(len(requests.for_pci_flavors(held)) + 1)
    wanted = resolved.request.to_pci_request()
    quotas.check(
        instance.project_id,
        [wanted.replace(pci_flavors=[resolved.alternative.uuid])],
        instance_uuid=instance.uuid,
        host=instance.host,
    )
    snapshot = client.conductor().offer([wanted], [instance.host])
    if snapshot.decide(instance.host) is None:
        LOG.info(
            'Refusing an interface of PCI flavor %(name)s for instance '
            '%(uuid)s: %(reasons)s',
            {
                'name': resolved.alternative.name,
                'uuid': instance.uuid,
                'reasons': claims.summarize(snapshot.reasons(instance.host)),
            },
        )
        raise exception.InvalidNic(
            f'no device of PCI flavor {resolved.alternative.name!r} is free '
            "for the network on the instance's host"
        )
    return True


def _vnic_types(instance: Any) -> Iterator[str]:
    """Yield the vNIC types of an instance's NICs, loaded when first used."""
    for vif in instance.get_network_info():
        yield str(vif['vnic_type'])


def _update_request_spec(
    context: Any, instance: Any, detached: Collection[str] = ()
) -> None:
    """Update the scheduler's request with the NICs of an instance.

    :param detached: ids of ports that are being detached.
    """
    try:
        spec = scheduling.request_spec_of(context, instance.uuid)
    except scheduling.RequestSpecNotFound:
        return
    before = spec.pci_requests.requests if spec.pci_requests else ()
    if detached and not any(map(requests.is_for_nic, before)):
        return
    now = scheduling.pci_requests_of(context, instance.uuid).requests
    spec.pci_requests = scheduling.InstancePCIRequests(
        instance_uuid=instance.uuid,
        requests=[
            *(
                request
                for request in before
                if not requests.is_for_nic(request)
            ),
            *(
                request
                for request in now
                if requests.is_for_nic(request)
                and request.requester_id not in detached
            ),
        ],
    )
    spec.save()
