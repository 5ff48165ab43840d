# SPDX-License-Identifier: Apache-2.0
"""Ports bound to devices of this project, by nova-compute.

Nova binds a port to the device that serves its request: it makes the binding
profile of the device's row, which has all that is wanted (see ``net_facts``),
and of the tags that ``[pci] device_spec`` gives the device. Ours are not
there. And Nova knows ports that users made for a device, but no port of its
own that needs one.
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
    """In the place of the entry of ``[pci] device_spec`` for a device."""

    def __init__(self, physical_network: str | None) -> None:
        self._physical_network = physical_network

    def get_tags(self) -> dict[str, str | None]:
        """Return what Nova looks for."""
        return {matching.PHYSICAL_NETWORK: self._physical_network}


def wrap_get_devspec(original: Callable[..., Any]) -> Callable[..., Any]:
    """Answer for devices of this project, too.

    The tracker keeps our rows from all others that ask; ``Whitelist`` itself
    has no entry for them.
    """

    @functools.wraps(original)
    def get_devspec(whitelist: Any, row: Any) -> Any:
        if attachment.is_ours(row):
            return _DevSpec(attachment.physical_network(row))
        return original(whitelist, row)

    return get_devspec


def wrap_populate_binding_profile(
    original: Callable[..., Any],
) -> Callable[..., Any]:
    """Give a port its vNIC type with the same update that binds it.

    Neutron takes it while the port is not bound. A port of a user's has it
    already.
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
    """Write down which request the ports are for that Nova makes.

    When the instance comes back from the shelf, Nova finds a port's device by
    it. It is saved with the instance, when this is running or the interface
    is attached.
    """

    @functools.wraps(original)
    def _create_ports_for_instance(
        api: Any, context: Any, instance: Any, *args: Any, **kwargs: Any
    ) -> Any:
        made = original(api, context, instance, *args, **kwargs)
        ports = {
            network.pci_request_id: port_id
            for network, port_id in made
            if network.pci_request_id and port_id
        }
        # As a rule there are none, and nothing has to be loaded.
        found = instance.pci_requests.requests if ports else ()
        for request in requests.ours(found):
            if request.request_id in ports:
                request.requester_id = ports[request.request_id]
        return made

    return _create_ports_for_instance


def wrap_update_migrated_profiles(
    original: Callable[..., Any],
) -> Callable[..., Any]:
    """Bind ports of a live migration to all of their new devices' facts.

    Nova takes over less than it binds a new port with: never the physical
    network, and no number of a virtual function if the old one's was 0.
    """

    @functools.wraps(original)
    def _update_migrate_vifs_profile_with_pci(
        manager: Any, migrate_vifs: Any, port_id_to_pci_dev: Any
    ) -> None:
        original(manager, migrate_vifs, port_id_to_pci_dev)
        for vif in migrate_vifs:
            row = port_id_to_pci_dev.get(vif.port_id)
            if row is not None and attachment.is_ours(row):
                facts = manager.network_api._get_pci_device_profile(row)
                vif.profile = {**vif.profile, **facts}

    return _update_migrate_vifs_profile_with_pci


def _nic(instance: Any, request_id: str | None) -> objects.RequestedNic | None:
    """Return what a request of an instance needs for its NIC, if ours."""
    if request_id is None:
        return None
    # The devices are there already; the requests may have to be loaded.
    rows = instance.get_pci_devices(request_id=request_id)
    if not any(attachment.is_ours(row) for row in rows):
        return None
    for request in requests.ours(instance.pci_requests.requests):
        if request.request_id == request_id:
            return requests.nic_of(request)
    return None
