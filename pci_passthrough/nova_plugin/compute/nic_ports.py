# SPDX-License-Identifier: Apache-2.0
"""Lets the ports of a guest that starts follow devices that have moved.

For a NIC, Nova gives libvirt the address in the binding of its port. When a
device has moved to another address, its row follows (``repair``), and the port
is still bound to the old address, where the device of somebody else may be.
"""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from oslo_log import log as logging

from pci_passthrough import objects
from pci_passthrough.nova_plugin import loaded
from pci_passthrough.nova_plugin.compat import driver as virt_driver
from pci_passthrough.nova_plugin.compat import network

LOG = logging.getLogger(__name__)


def follow(
    driver: Any,
    context: Any,
    instance: Any,
    network_info: Iterable[dict[str, Any]],
    rows: Sequence[Any],
    held: Iterable[objects.PciDevice],
) -> Iterator[str]:
    """Bind ports to the devices that serve them; yield why one cannot be.

    :param network_info: Nova's VIFs of the instance; their profiles change.
    :param rows: Nova's rows of its devices of PCI flavors on this host.
    :param held: the devices that it holds on this host.
    """
    own = {str(device.address) for device in held} | {
        str(row.address)
        for row in loaded.attribute(instance, 'pci_devices') or ()
    }
    by_port = _rows_by_port(instance, rows)
    for vif in network_info:
        slot = (vif.get('profile') or {}).get('pci_slot')
        serving = by_port.get(vif['id'], [])
        fitting = {str(row.address) for row in serving} or own
        if not slot or slot in fitting:
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
            _bind(driver, context, vif, row)
        except network.NeutronException as error:
            yield (
                f'port {vif["id"]} is bound to {slot}, and Neutron does not '
                f'bind it to {row.address}: {error}'
            )


def _rows_by_port(
    instance: Any, rows: Iterable[Any]
) -> Mapping[str, list[Any]]:
    """Return the rows that serve each port of an instance.

    There are several during a resize within the host.
    """
    pci_requests = getattr(instance.pci_requests, 'requests', ())
    ports = {
        request.request_id: request.requester_id for request in pci_requests
    }
    by_port: dict[str, list[Any]] = {}
    for row in rows:
        port_id = ports.get(row.request_id)
        if port_id is not None:
            by_port.setdefault(port_id, []).append(row)
    return by_port


def _bind(driver: Any, context: Any, vif: dict[str, Any], row: Any) -> None:
    """Bind a port to the device of a row.

    :raises NeutronException: Neutron refuses, or does not answer.
    """
    facts = virt_driver.network_api_of(driver)._get_pci_device_profile(row)
    profile = {**vif['profile'], **facts}
    network.admin_client(context).update_port(
        vif['id'], {'port': {network.PROFILE: profile}}
    )
    vif['profile'] = profile
