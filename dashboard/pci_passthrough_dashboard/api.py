# SPDX-License-Identifier: Apache-2.0
"""The service, as a user of Horizon reaches it. Acts.

The only module that talks to the service. ``pci_passthrough.sdk`` has the
names of the methods.
"""

from collections.abc import Iterator
import contextlib
import itertools
from typing import Any
from typing import Final

from django.conf import settings
from horizon import exceptions
from keystoneauth1 import exceptions as auth_exceptions
from keystoneauth1 import session
from keystoneauth1 import token_endpoint
import openstack
from openstack import exceptions as sdk_exceptions
from openstack_auth import utils as auth_utils
from openstack_dashboard.api import base

from pci_passthrough import sdk

#: The scope of the policies in Horizon's POLICY_FILES.
POLICY_SCOPE: Final = 'pci-passthrough'

#: The most items of one answer.
_MOST_ITEMS: Final = 1000

#: The permission of a panel: the service is in the catalog.
PERMISSION: Final = f'openstack.services.{sdk.SERVICE_TYPE}'


class ServiceError(exceptions.HorizonException):
    """The service did not do what it was asked for; its text says why.

    Horizon logs a user out who gets any error of openstacksdk, so these do
    not leave this module.

    :ivar status: the status of HTTP; 0 if there was no answer.
    """

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.status = status


class Service:
    """The Proxy of ``pci_passthrough.sdk``, with errors of Horizon.

    Lists come as lists.
    """

    def __init__(self, proxy: Any) -> None:
        self._proxy = proxy

    def __getattr__(self, name: str) -> Any:
        """Return a method of the Proxy."""
        method = getattr(self._proxy, name)

        def call(*arguments: Any, **keywords: Any) -> Any:
            with _errors_of_horizon():
                answer = method(*arguments, **keywords)
                is_list = isinstance(answer, Iterator)
                return list(answer) if is_list else answer

        return call

    def page(
        self, name: str, size: int, **query: Any
    ) -> tuple[list[Any], bool]:
        """Return the first items of a list, and whether there are more.

        :param name: the method of the Proxy.
        :param size: the most items to return.
        """
        query = {key: value for key, value in query.items() if value}
        # One more item than the page has, so that one request is enough.
        limit = min(size + 1, _MOST_ITEMS)
        with _errors_of_horizon():
            items = getattr(self._proxy, name)(limit=limit, **query)
            first = list(itertools.islice(items, size + 1))
        return first[:size], len(first) > size


def service(request: Any) -> Service:
    """Return the service for the user of a request.

    :raises ServiceCatalogException: it is not in the user's catalog.
    """
    endpoint = base.url_for(request, sdk.SERVICE_TYPE)
    verify = (
        False
        if settings.OPENSTACK_SSL_NO_VERIFY
        else settings.OPENSTACK_SSL_CACERT or True
    )
    connection: Any = openstack.connection.Connection(
        session=session.Session(
            auth=token_endpoint.Token(endpoint, request.user.token.id),
            original_ip=auth_utils.get_client_ip(request),
            verify=verify,
        ),
        region_name=request.user.services_region,
        app_name='horizon',
    )
    return Service(sdk.add_to(connection).pci_passthrough)


@contextlib.contextmanager
def _errors_of_horizon() -> Iterator[None]:
    try:
        yield
    except sdk_exceptions.HttpException as error:
        if error.status_code == 401:
            raise exceptions.NotAuthenticated() from error
        text = getattr(error, 'details', None) or str(error)
        raise ServiceError(text, error.status_code or 0) from error
    except (
        sdk_exceptions.SDKException,
        auth_exceptions.ClientException,
    ) as error:
        raise ServiceError(str(error)) from error
