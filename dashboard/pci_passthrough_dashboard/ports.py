# SPDX-License-Identifier: Apache-2.0
"""Ports of Neutron whose tags name PCI flavors. Acts."""

import contextlib
from typing import Any
from typing import Final

from openstack import exceptions as sdk_exceptions
from openstack_dashboard.api import neutron

from pci_passthrough_dashboard import api

#: The vnic_type of a PCI flavor that has none.
_DEFAULT: Final = 'direct'


def networks(request: Any) -> list[tuple[str, str]]:
    """Return the id and the name of each network that the project may use.

    :raises ServiceError: Neutron does not tell.
    """
    client = neutron.networkclient(request)
    try:
        return sorted(
            ((network.id, network.name or network.id))
            for network in client.networks()
        )
    except sdk_exceptions.SDKException as error:
        raise _readable(error) from error


def create(request: Any, network_id: str, name: str, flavor: Any) -> Any:
    """Create a port for a NIC of a PCI flavor, and return it.

    :param flavor: the PCI flavor.
    :raises ServiceError: Neutron does not do it; there is no port then.
    """
    client = neutron.networkclient(request)
    try:
        port = client.create_port(
            network_id=network_id,
            name=name,
            binding_vnic_type=flavor.vnic_type or _DEFAULT,
        )
        try:
            client.set_tags(port, [f'pci-flavor={flavor.name}'])
        except sdk_exceptions.SDKException:
            # Without its tag it would get a device of Nova's own.
            with contextlib.suppress(sdk_exceptions.SDKException):
                client.delete_port(port)
            raise
    except sdk_exceptions.SDKException as error:
        raise _readable(error) from error
    return port


def _readable(error: sdk_exceptions.SDKException) -> api.ServiceError:
    """Return an error with Neutron's text, without the address of Neutron."""
    text = getattr(error, 'details', None) or error.message
    return api.ServiceError(str(text))
