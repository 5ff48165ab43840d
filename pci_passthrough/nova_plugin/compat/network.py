# SPDX-License-Identifier: Apache-2.0
"""Nova's client of Neutron, and its errors about interfaces.

Imported only when Nova is running: several modules of Nova read options when
they are imported.
"""

from typing import Any

from neutronclient.common import exceptions as neutron_exceptions

# Neutron does not answer, or refuses.
from neutronclient.common.exceptions import NeutronException

# An interface cannot be attached: HTTP 400.
from nova.exception import InterfaceAttachPciClaimFailed

# There is no such network: HTTP 404.
from nova.exception import NetworkNotFound

# The driver cannot detach an interface.
from nova.exception import NovaException
from nova.network import neutron

__all__ = [
    'InterfaceAttachPciClaimFailed',
    'NeutronException',
    'NovaException',
]

#: Key of a port: its vNIC type.
VNIC_TYPE = 'binding:vnic_type'

#: Key of a port: facts about its device.
PROFILE = 'binding:profile'


def admin_client(context: Any) -> Any:
    """Return a client of Neutron's API with the rights of Nova's user."""
    return neutron.get_client(context, admin=True)


def check_network(context: Any, network_id: str | None) -> None:
    """Check that the caller can see a network.

    :raises NetworkNotFound: there is no such network, or it is hidden.
    """
    try:
        neutron.get_client(context).show_network(network_id, fields=['id'])
    except neutron_exceptions.NetworkNotFoundClient as error:
        raise NetworkNotFound(network_id=network_id) from error
