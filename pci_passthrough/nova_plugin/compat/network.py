# SPDX-License-Identifier: Apache-2.0
"""What Nova has to do with Neutron.

For what runs when Nova has begun its work: several modules of Nova read
options when these are imported.
"""

from typing import Any

from neutronclient.common import exceptions as neutron_exceptions

# An interface cannot be attached: nova-api answers 400.
from nova.exception import InterfaceAttachPciClaimFailed

# There is no such network: nova-api answers 404.
from nova.exception import NetworkNotFound

# What the driver raises when it cannot detach one.
from nova.exception import NovaException
from nova.network import neutron

__all__ = ['InterfaceAttachPciClaimFailed', 'NovaException']

#: Of a port.
VNIC_TYPE = 'binding:vnic_type'


def admin_client(context: Any) -> Any:
    """Return a client of Neutron's API with Nova's own rights."""
    return neutron.get_client(context, admin=True)


def check_network(context: Any, network_id: str | None) -> None:
    """Make sure that there is a network, as far as the caller can see.

    :raises NetworkNotFound:
    """
    try:
        neutron.get_client(context).show_network(network_id, fields=['id'])
    except neutron_exceptions.NetworkNotFoundClient as error:
        raise NetworkNotFound(network_id=network_id) from error
