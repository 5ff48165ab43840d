# SPDX-License-Identifier: Apache-2.0
"""Makes the proxy of a connection."""

from typing import Any

from keystoneauth1 import exceptions as keystone_exceptions
from openstack import exceptions
from openstack import service_description

from pci_passthrough.sdk import proxy
from pci_passthrough.sdk import versions

#: In Keystone's catalogue.
SERVICE_TYPE = 'pci-passthrough'

#: In the configuration of a cloud.
_VERSION_KEY = 'pci_passthrough_api_version'


# Older releases of openstacksdk have no type parameter here.
class Service(service_description.ServiceDescription):  # type: ignore[type-arg]
    """Describes the service to openstacksdk.

    Its own way to a proxy asks the service for its versions at once, and
    tells three failures in one text. This proxy asks with its first request.
    """

    supported_versions = {'1': proxy.Proxy}  # noqa: RUF012 (openstacksdk's)

    def __get__(self, instance: Any, owner: type[object] | None) -> Any:
        """Return the proxy of a connection.

        :raises openstack.exceptions.EndpointNotFound: the catalogue does not
            have the service.
        """
        if instance is None:
            return self
        try:
            found = super().__get__(instance, owner or type(instance))
        except keystone_exceptions.EndpointNotFound:
            found = None
        if not isinstance(found, proxy.Proxy):
            raise exceptions.EndpointNotFound(_absence(instance.config))
        return found

    def _make_proxy(self, instance: Any) -> proxy.Proxy:
        config = instance.config
        made: proxy.Proxy = config.get_session_client(
            self.service_type, version='1', constructor=proxy.Proxy
        )
        if not made.default_microversion:
            made.default_microversion = versions.parse(
                str(config.config.get(_VERSION_KEY) or versions.NEWEST)
            )
        return made


def _absence(config: Any) -> str:
    """Return the text that the catalogue does not have the service."""
    where = ''.join(
        f', {label} {value}'
        for label, value in (
            ('region', config.get_region_name(SERVICE_TYPE)),
            ('interface', config.get_interface(SERVICE_TYPE)),
        )
        if value
    )
    return (
        f'the catalogue has no endpoint of a service of type {SERVICE_TYPE}'
        f'{where}: it is not installed in this cloud, or not registered in '
        'Keystone'
    )
