# SPDX-License-Identifier: Apache-2.0
"""Binds Neutron's ports to devices of PCI flavors, in nova-compute.

Nova makes the binding profile of a port from the row of its device, which has
the facts (see ``net_facts``), and from the tags that ``[pci] device_spec``
gives the device. Devices of PCI flavors are not in ``[pci] device_spec``. And
Nova expects that users make the ports that need a device, and makes none
itself. The replacements here provide both.
"""

from collections.abc import Callable
import functools
from typing import Any

from pci_passthrough import matching
from pci_passthrough import objects
from pci_passthrough.nova_plugin import requests
from pci_passthrough.nova_plugin.compat import network as nova_network
from pci_passthrough.nova_plugin.compute import attachment


class _DevSpec:
    """Stands in for the ``PciDeviceSpec`` that matches a device."""

    def __init__(self, physical_network: str | None) -> None:
        self._physical_network = physical_network

    def get_tags(self) -> dict[str, str | None]:
        """Return the tag that Nova reads."""
        return {matching.PHYSICAL_NETWORK: self._physical_network}


def wrap_get_devspec(original: Callable[..., Any]) -> Callable[..., Any]:
    """Replace ``nova.pci.whitelist.Whitelist.get_devspec``.

    Nova calls it for the tags of a device, when it binds a port. The
    replacement answers for attachments, which no entry matches.
    """

    @functools.wraps(original)
    def get_devspec(whitelist: Any, row: Any) -> Any:
        if attachment.is_attachment(row):
            return _DevSpec(attachment.physical_network(row))
        return original(whitelist, row)

    return get_devspec


def wrap_populate_binding_profile(
    original: Callable[..., Any],
) -> Callable[..., Any]:
    """Replace ``nova.network.neutron.API._populate_neutron_binding_profile``.

    nova-compute calls it before it binds a port. The replacement sets the
    port's vNIC type in the same update: Neutron accepts it while the port is
    not bound. A user's port has it already.
    """

    @functools.wraps(original)
    def _populate_neutron_binding_profile(
        api: Any,
        instance: Any,
        pci_request_id: str | None,
        port_req_body: Any,
        port_arq: Any,
    ) -> None:
        original(api, instance, pci_request_id, port_req_body, port_arq)
        nic = _nic(instance, pci_request_id)
        if nic is not None:
            port_req_body['port'][nova_network.VNIC_TYPE] = nic.vnic_type

    return _populate_neutron_binding_profile


def wrap_create_ports(original: Callable[..., Any]) -> Callable[..., Any]:
    """Replace ``nova.network.neutron.API._create_ports_for_instance``.

    nova-compute calls it for a new server and for an attached interface. The
    replacement records in each request the port that Nova has made for it:
    after an unshelve, Nova needs it to find the device of the port. Nova
    saves the requests with the instance, later.
    """

    @functools.wraps(original)
    def _create_ports_for_instance(
        api: Any, context: Any, instance: Any, *args: Any, **kwargs: Any
    ) -> Any:
        created = original(api, context, instance, *args, **kwargs)
        ports = {
            network.pci_request_id: port_id
            for network, port_id in created
            if network.pci_request_id and port_id
        }
        # Reading pci_requests may load it from the database.
        pci_requests = instance.pci_requests.requests if ports else ()
        for request in requests.for_pci_flavors(pci_requests):
            if request.request_id in ports:
                request.requester_id = ports[request.request_id]
        return created

    return _create_ports_for_instance


def wrap_update_migrated_profiles(
    original: Callable[..., Any],
) -> Callable[..., Any]:
    """Replace ``ComputeManager._update_migrate_vifs_profile_with_pci``.

    nova-compute calls it for the ports of a live migration. Nova updates only
    a part of the profile that it gives new ports: never the physical network,
    and the number of the virtual function only if the old one is not 0. The
    replacement updates the whole profile.
    """

    @functools.wraps(original)
    def _update_migrate_vifs_profile_with_pci(
        manager: Any, migrate_vifs: Any, port_id_to_pci_dev: Any
    ) -> None:
        original(manager, migrate_vifs, port_id_to_pci_dev)
        for vif in migrate_vifs:
            row = port_id_to_pci_dev.get(vif.port_id)
            if row is not None and attachment.is_attachment(row):
                facts = manager.network_api._get_pci_device_profile(row)
                vif.profile = {**vif.profile, **facts}

    return _update_migrate_vifs_profile_with_pci


def _nic(instance: Any, request_id: str | None) -> objects.RequestedNic | None:
    """Return the NIC of an instance's request for a PCI flavor, if any."""
    if not request_id:
        return None
    # Nova has loaded the devices before; reading requests may load them.
    rows = instance.get_pci_devices(request_id=request_id)
    if not any(attachment.is_attachment(row) for row in rows):
        return None
    for request in requests.for_pci_flavors(instance.pci_requests.requests):
        if request.request_id == request_id:
            return requests.nic_of(request)
    return None
