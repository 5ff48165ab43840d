# SPDX-License-Identifier: Apache-2.0
"""Makes ports and devices of a guest that starts agree.

For a NIC, Nova gives libvirt the address in the binding of its port. When a
device has moved to another address, its row follows (``repair``), and the port
is still bound to the old address, where the device of somebody else may be.

The other way round, a request must name its port (``port_binding``): Nova
unshelves by it. nova-compute makes the ports of a new instance in one thread,
and saves the instance in another, whose answer from nova-conductor may replace
the requests that the first one has just changed.
"""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from oslo_log import log as logging

from pci_passthrough import objects
from pci_passthrough.nova_plugin import requests
from pci_passthrough.nova_plugin.compat import driver as virt_driver
from pci_passthrough.nova_plugin.compat import network

LOG = logging.getLogger(__name__)


def follow(
    driver: Any,
    context: Any,
    instance: Any,
    network_info: Iterable[dict[str, Any]] | None,
    rows: Sequence[Any],
    held: Iterable[objects.PciDevice],
) -> Iterator[str]:
    """Bind ports to the devices that serve them; yield why one cannot be.

    :param network_info: Nova's VIFs of the instance, None for unknown; to
        read them may wait for Neutron. Their profiles change.
    :param rows: Nova's rows of its devices of PCI flavors on this host.
    :param held: the devices that it holds on this host.
    """
    served = _rows_by_port(instance, rows)
    if not served:
        return
    own = {str(device.address) for device in held}
    for vif in network_info or ():
        slot = (vif.get('profile') or {}).get('pci_slot')
        if not slot or vif['id'] not in served:
            # Another port: of a native device, or an accelerator of Cyborg.
            continue
        serving = served[vif['id']]
        if slot in ({str(row.address) for row in serving} or own):
            continue
        if len(serving) != 1:
            yield (
                f'port {vif["id"]} is bound to {slot}, which is no device of '
                'the instance: detach the interface, and attach it again'
            )
            continue
        [row] = serving
        LOG.warning(
            'Instance %(uuid)s: binding port %(port)s to %(new)s, where its '
            'device has moved; it is bound to %(old)s',
            {
                'uuid': instance.uuid,
                'port': vif['id'],
                'new': row.address,
                'old': slot,
            },
        )
        try:
            vif['profile'] = _bind(driver, context, vif['id'], row)
        except (network.NeutronException, network.NovaException) as error:
            yield (
                f'port {vif["id"]} is bound to {slot}, and Neutron does not '
                f'bind it to {row.address}: {error}'
            )


def record(
    instance: Any,
    network_info: Iterable[dict[str, Any]] | None,
    rows: Iterable[Any],
) -> None:
    """Record the ports of NICs that have none, before Nova saves them.

    :param instance: Nova's instance, whose guest has started.
    :param network_info: its VIFs, None for unknown.
    :param rows: Nova's rows of its devices of PCI flavors on this host.
    """
    pci_requests = getattr(instance.pci_requests, 'requests', ())
    unrecorded = {
        request.request_id: request
        for request in requests.for_pci_flavors(pci_requests)
        if requests.is_for_nic(request) and request.requester_id is None
    }
    if not unrecorded:
        return
    by_slot = {
        str(row.address): unrecorded[row.request_id]
        for row in rows
        if row.request_id in unrecorded
    }
    for vif in network_info or ():
        slot = (vif.get('profile') or {}).get('pci_slot')
        request = by_slot.get(str(slot))
        if request is not None:
            request.requester_id = vif['id']


def _rows_by_port(
    instance: Any, rows: Iterable[Any]
) -> Mapping[str, list[Any]]:
    """Return the rows that serve each port with a PCI flavor.

    There are several during a resize within the host.
    """
    pci_requests = getattr(instance.pci_requests, 'requests', ())
    by_request: dict[str, list[Any]] = {}
    for row in rows:
        by_request.setdefault(row.request_id, []).append(row)
    return {
        request.requester_id: by_request.get(request.request_id, [])
        for request in requests.for_pci_flavors(pci_requests)
        if request.requester_id is not None
    }


def _bind(driver: Any, context: Any, port_id: str, row: Any) -> dict[str, Any]:
    """Bind a port to the device of a row; return its profile.

    :raises NeutronException: Neutron refuses, or does not answer.
    :raises NovaException: so says Nova's client.
    """
    client = network.admin_client(context)
    # Nova's VIF may be older than the port.
    port = client.show_port(port_id, fields=[network.PROFILE])['port']
    facts = virt_driver.network_api_of(driver)._get_pci_device_profile(row)
    profile = {**(port[network.PROFILE] or {}), **facts}
    client.update_port(port_id, {'port': {network.PROFILE: profile}})
    return profile
