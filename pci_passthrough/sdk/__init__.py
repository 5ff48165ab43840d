# SPDX-License-Identifier: Apache-2.0
"""The service for openstacksdk: ``connection.pci_passthrough``.

Either in a program::

    connection = pci_passthrough.sdk.add_to(openstack.connect(cloud='mine'))

or, for all programs that read it, in ``clouds.yaml``::

    clouds:
      mine:
        vendor_hook: pci_passthrough.sdk:vendor_hook

``proxy.Proxy`` has the calls. The other modules are the nouns that it returns,
one each, and what they share. Nothing here needs more than openstacksdk.
"""

from typing import Any
from typing import cast
from typing import TypeVar

from openstack import connection as openstack_connection

from pci_passthrough.sdk import proxy
from pci_passthrough.sdk import service

SERVICE_TYPE = service.SERVICE_TYPE

_Connection = TypeVar('_Connection', bound=openstack_connection.Connection)


def add_to(connection: _Connection) -> _Connection:
    """Add ``pci_passthrough`` to a connection, and return the connection."""
    connection.add_service(service.Service(SERVICE_TYPE))
    return connection


def service_of(connection: openstack_connection.Connection) -> proxy.Proxy:
    """Return ``pci_passthrough`` of a connection, which is added if need be.

    :raises openstack.exceptions.EndpointNotFound: the catalogue does not have
        the service.
    """
    added: Any = add_to(connection)
    return cast(proxy.Proxy, added.pci_passthrough)


def vendor_hook(connection: openstack_connection.Connection) -> None:
    """Add ``pci_passthrough``; openstacksdk calls this for ``clouds.yaml``."""
    add_to(connection)
