# SPDX-License-Identifier: Apache-2.0
"""Interfaces that nova-api asks nova-compute to attach, or to detach.

nova-compute makes the request for a PCI flavor and claims the device. What
can be checked is checked here, where a user waits for the answer:
nova-compute's errors do not travel well, and a nova-compute without the door
would attach an interface of any kind.

And the scheduler is told what to look for when the instance moves. Nova goes
on with what the server was created with.
"""

from collections.abc import Callable
from collections.abc import Collection
import functools
from typing import Any

from oslo_log import log as logging

from pci_passthrough import claims
from pci_passthrough import exception
from pci_passthrough.nova_plugin import client
from pci_passthrough.nova_plugin import requests
from pci_passthrough.nova_plugin.compat import network as nova_network
from pci_passthrough.nova_plugin.compat import scheduling
from pci_passthrough.nova_plugin.network import asked_nics
from pci_passthrough.nova_plugin.network import nics
from pci_passthrough.objects import fields

LOG = logging.getLogger(__name__)


class InterfaceRefused(nova_network.InterfaceAttachPciClaimFailed):
    """An interface asks for what cannot be given: HTTP 400."""

    msg_fmt = '%(reason)s'


def wrap_attach_interface(original: Callable[..., Any]) -> Callable[..., Any]:
    """Check what an interface asks for before nova-compute is asked.

    Nova has found by now that the instance can get one.
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
        with requests.refused_as(InterfaceRefused):
            is_ours = _check(context, instance, network_id, port_id)
        asked_nics.send_with(context)
        vif = original(
            api, context, instance, network_id, port_id, *args, **kwargs
        )
        if is_ours:
            _update_request_spec(context, instance)
        return vif

    return attach_interface


def wrap_detach_interface(original: Callable[..., Any]) -> Callable[..., Any]:
    """Look for no device any more for an interface that goes."""

    @functools.wraps(original)
    def detach_interface(
        api: Any, context: Any, instance: Any, port_id: str
    ) -> Any:
        result = original(api, context, instance, port_id)
        if any(
            vif['id'] == port_id and vif['vnic_type'] in fields.VnicType.ALL
            for vif in instance.get_network_info()
        ):
            # It is gone soon, or has gone already: nobody waits for it.
            _update_request_spec(context, instance, going=(port_id,))
        return result

    return detach_interface


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
    if nic.pci_flavor is not None:
        nova_network.check_network(context, network_id)
    others = [str(vif['vnic_type']) for vif in instance.get_network_info()]
    (settled,) = nics.settle(context, [nic], others)
    if settled is None:
        return False
    held = scheduling.pci_requests_of(context, instance.uuid).requests
    nics.check_number(len(requests.ours(held)) + 1)
    wanted = settled.request.to_pci_request()
    offer = client.conductor().offer([wanted], [instance.host])
    if offer.decide(instance.host) is None:
        LOG.info(
            'No interface of PCI flavor %(name)s for instance %(uuid)s: '
            '%(reasons)s',
            {
                'name': settled.alternative.name,
                'uuid': instance.uuid,
                'reasons': claims.summarize(offer.reasons(instance.host)),
            },
        )
        raise exception.InvalidNic(
            f'no device of PCI flavor {settled.alternative.name!r} is free '
            "for the network on the instance's host"
        )
    return True


def _update_request_spec(
    context: Any, instance: Any, going: Collection[str] = ()
) -> None:
    """Have the scheduler look for what the instance's NICs are now.

    :param going: ports that the instance will not have any more.
    """
    try:
        spec = scheduling.request_spec_of(context, instance.uuid)
    except scheduling.RequestSpecNotFound:
        return
    before = spec.pci_requests.requests if spec.pci_requests else ()
    now = scheduling.pci_requests_of(context, instance.uuid).requests
    spec.pci_requests = scheduling.InstancePCIRequests(
        instance_uuid=instance.uuid,
        requests=[
            *(one for one in before if not requests.is_of_nic(one)),
            *(
                one
                for one in now
                if requests.is_of_nic(one) and one.requester_id not in going
            ),
        ],
    )
    spec.save()
