# SPDX-License-Identifier: Apache-2.0
"""Assembles the application and its middleware."""

from typing import TYPE_CHECKING

from oslo_config import cfg
import oslo_middleware
from werkzeug.middleware import dispatcher

from pci_passthrough.api import application
from pci_passthrough.api import authentication
from pci_passthrough.api import errors
from pci_passthrough.api import microversion
from pci_passthrough.api import routing
from pci_passthrough.api.backends import Backends

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

#: The paths that need no token.
_PUBLIC = frozenset(route.path for route in routing.ROUTES if not route.rule)

#: The headers that scripts in browsers may send, and read.
_REQUEST_HEADERS = [
    'X-Auth-Token',
    'If-Match',
    'If-None-Match',
    microversion.HEADER,
]
_RESPONSE_HEADERS = [
    'ETag',
    'Location',
    'X-Openstack-Request-Id',
    microversion.HEADER,
]


def load(
    conf: cfg.ConfigOpts,
    backends: Backends,
    authenticate: authentication.Authentication = authentication.keystone,
) -> 'WSGIApplication':
    """Return the WSGI application of the service.

    :param conf: the configuration.
    :param backends: the database and the conductor that handlers use, from
        the same configuration.
    :param authenticate: adds the middleware that authenticates the user.
    """
    app: WSGIApplication = application.Application(backends, routing.ROUTES)
    app = authenticate(conf, app, _PUBLIC)
    app = errors.ErrorsOfMiddleware(app)
    app = oslo_middleware.RequestId(app)
    app = oslo_middleware.CORS(app, conf)
    conf.set_default('allow_headers', _REQUEST_HEADERS, group='cors')
    conf.set_default('expose_headers', _RESPONSE_HEADERS, group='cors')
    app = oslo_middleware.HTTPProxyToWSGI(app, conf)
    # For load balancers; [healthcheck] configures the checks.
    return dispatcher.DispatcherMiddleware(
        app, {'/healthcheck': oslo_middleware.Healthcheck(None, conf)}
    )
