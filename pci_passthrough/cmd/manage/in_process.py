# SPDX-License-Identifier: Apache-2.0
"""The REST API and a conductor within this process.

The commands of ``openstack pci`` call the REST API through ``ClientManager``
as they call it in ``openstack``. But nothing listens on a port, there is
neither Keystone nor a broker, and every request is allowed: whoever may use
the database may do everything.
"""

from collections.abc import Mapping
import functools
import http
import io
from typing import Any
from typing import ParamSpec
from typing import TYPE_CHECKING
from typing import TypeVar

from keystoneauth1 import noauth
from keystoneauth1 import session as keystone_session
from openstack import connection as openstack_connection
from openstack import exceptions
import oslo_messaging
from oslo_policy import policy
import requests
from requests import adapters
from requests import structures
from werkzeug import test

from pci_passthrough import nova_api
from pci_passthrough import rpc
from pci_passthrough import sdk
from pci_passthrough import store
from pci_passthrough.api import application
from pci_passthrough.api import authentication
from pci_passthrough.api import routing
from pci_passthrough.api.backends import Backends
from pci_passthrough.api.backends import Thresholds
from pci_passthrough.cmd.manage import context
from pci_passthrough.osc import errors as client_errors
from pci_passthrough.rpc import methods
from pci_passthrough.sdk import errors as sdk_errors
from pci_passthrough.sdk import proxy
from pci_passthrough.services import operator_endpoint

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

_P = ParamSpec('_P')
_R = TypeVar('_R')

#: Where the application answers; no request ever leaves this process.
_URL = 'http://pci-passthrough.invalid'

#: The headers by which keystonemiddleware passes the identity of a caller.
_OPERATOR = {
    'HTTP_X_IDENTITY_STATUS': authentication.CONFIRMED,
    'HTTP_X_USER_ID': 'operator',
    'HTTP_X_PROJECT_ID': 'operator',
}


class ClientManager:
    """Has the REST API as a service, like the client manager of osc-lib.

    :param manage: the context of the running command.
    """

    #: There is no Keystone to look up the names of projects.
    auth_ref = None

    def __init__(self, manage: context.Context) -> None:
        self._context = manage

    @functools.cached_property
    def pci_passthrough(self) -> proxy.Proxy:
        """The service.

        :raises: DatabaseNotReady; oslo_config.cfg.Error
        """
        return self._service(self._context.policy.limits)

    @functools.cached_property
    def without_trackers(self) -> proxy.Proxy:
        """The service, for which hosts without a resource tracker are up.

        :raises: DatabaseNotReady; oslo_config.cfg.Error
        """
        return self._service(self._context.policy.limits.of_agents)

    def _service(self, limits: store.Limits) -> proxy.Proxy:
        conf = self._context.conf
        backends = Backends(
            self._context.database,
            _Conductor(self._context),
            _AllowEverything(conf),
            limits,
            Thresholds(
                conf.api.availability_low_requests,
                conf.api.availability_low_percent,
            ),
            self._context.policy.refusals_kept,
            self._context.policy.flavor_from_group,
            nova_api.Aggregates(conf),
        )
        app = application.Application(backends, routing.ROUTES)
        transport = requests.Session()
        transport.mount(_URL, _WsgiAdapter(app, _OPERATOR))
        connection = openstack_connection.Connection(
            session=keystone_session.Session(
                auth=noauth.NoAuth(endpoint=_URL), session=transport
            )
        )
        return sdk.service_of(connection)


def plain(error: Exception) -> Exception:
    """Return an error of the REST API in the words of this program.

    :returns: an error without status, code and request id, which say nothing
        within one process; any other error as it is.
    """
    if not isinstance(error, exceptions.SDKException):
        return error
    text = str(error)
    if isinstance(error, sdk_errors.ServiceError):
        text = str(error.details)
        if error.status_code == http.HTTPStatus.INTERNAL_SERVER_ERROR:
            text += ' (there is no service: --debug shows it here)'
    return client_errors.ClientError(text)


class _AllowEverything(policy.Enforcer):
    """Stands in for the policies: allows everything."""

    def authorize(self, *args: Any, **kwargs: Any) -> bool:
        """Allow it."""
        return True


class _Conductor(rpc.ConductorClient):
    """Executes the REST API's calls here, instead of sending them.

    :param manage: has the database, and the actor for the ledger; the REST
        API only knows the user of ``_OPERATOR``.
    """

    def __init__(self, manage: context.Context) -> None:
        self._context = manage

    @functools.cached_property
    def _endpoint(self) -> operator_endpoint.OperatorEndpoint:
        return operator_endpoint.OperatorEndpoint(
            self._context.writer,
            self._context.policy.limits,
            nova_api.Aggregates(self._context.conf),
        )

    def _call(
        self,
        method: methods.Method[_P, _R],
        /,
        *args: _P.args,
        **kwargs: _P.kwargs,
    ) -> _R:
        arguments = method.signature.bind(*args, **kwargs).arguments
        answer = getattr(self._endpoint, method.name)
        arguments['actor'] = self._context.actor
        try:
            result: _R = answer({}, **arguments)
        except oslo_messaging.ExpectedException as error:
            raise error.exc_info[1] from None
        return result


class _WsgiAdapter(adapters.BaseAdapter):
    """Passes the requests of a ``requests.Session`` to a WSGI application.

    :param app: the application.
    :param environ: added to the WSGI environment of each request.
    """

    def __init__(
        self, app: 'WSGIApplication', environ: Mapping[str, str]
    ) -> None:
        super().__init__()
        self._client = test.Client(app, use_cookies=False)
        self._environ = environ

    def send(
        self,
        request: requests.PreparedRequest,
        *args: Any,
        **kwargs: Any,
    ) -> requests.Response:
        """Return the application's response."""
        answer = self._client.open(
            request.url,
            method=request.method,
            headers=list(request.headers.items()),
            data=request.body,
            environ_overrides=self._environ,
        )
        response = requests.Response()
        response.request = request
        response.url = request.url or _URL
        response.status_code = answer.status_code
        response.reason = answer.status.partition(' ')[2]
        response.headers = structures.CaseInsensitiveDict(answer.headers)
        response.raw = io.BytesIO(answer.get_data())
        return response

    def close(self) -> None:
        """Close nothing: there is no connection."""
