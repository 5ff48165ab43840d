# SPDX-License-Identifier: Apache-2.0
"""The application with all that stands before it."""

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

#: What needs no token.
_PUBLIC = frozenset(route.path for route in routing.ROUTES if not route.rule)

_READ_BY_SERVICE = [
    'X-Auth-Token',
    'If-Match',
    'If-None-Match',
    microversion.HEADER,
]
_READ_BY_BROWSERS = [
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
    :param backends: what handlers work with; made of the same configuration.
    :param authenticate: finds out who asks.
    """
    app: WSGIApplication = application.Application(backends, routing.ROUTES)
    app = authenticate(conf, app, _PUBLIC)
    app = errors.ErrorsOfMiddleware(app)
    app = oslo_middleware.RequestId(app)
    app = oslo_middleware.CORS(app, conf)
    conf.set_default('allow_headers', _READ_BY_SERVICE, group='cors')
    conf.set_default('expose_headers', _READ_BY_BROWSERS, group='cors')
    app = oslo_middleware.HTTPProxyToWSGI(app, conf)
    # For load balancers; [healthcheck] says what is looked at.
    return dispatcher.DispatcherMiddleware(
        app, {'/healthcheck': oslo_middleware.Healthcheck(None, conf)}
    )
