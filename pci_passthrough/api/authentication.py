# SPDX-License-Identifier: Apache-2.0
"""Who asks: Keystone knows, or, for development, everybody is believed."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Set
from typing import TYPE_CHECKING

from keystonemiddleware import auth_token
from oslo_config import cfg

from pci_passthrough.api import microversion

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse
    from _typeshed.wsgi import WSGIApplication
    from _typeshed.wsgi import WSGIEnvironment

#: Puts an application behind something that says who asks.
Authentication = Callable[
    [cfg.ConfigOpts, 'WSGIApplication', Set[str]], 'WSGIApplication'
]

#: What keystonemiddleware says of a token: this one is good.
CONFIRMED = 'Confirmed'

_PREFIX = 'HTTP_X_'


def keystone(
    conf: cfg.ConfigOpts,
    application: 'WSGIApplication',
    public: Set[str],
) -> 'WSGIApplication':
    """Have Keystone validate tokens, as ``[keystone_authtoken]`` says.

    Its middleware is not asked to let requests without a good token through,
    although that would spare the list of paths: then it takes every token for
    a bad one while Keystone is away, and clients would drop theirs.

    :param public: paths that need no token.
    """
    protected: WSGIApplication = auth_token.AuthProtocol(
        application,
        {
            'oslo_config_config': conf,
            'service_type': microversion.SERVICE_TYPE,
        },
    )

    def answer(
        environ: 'WSGIEnvironment', start_response: 'StartResponse'
    ) -> Iterable[bytes]:
        # Empty: the root of a service that is below another path.
        is_public = (environ.get('PATH_INFO') or '/') in public
        asked = application if is_public else protected
        return asked(environ, start_response)

    return answer


class NoAuth:
    """Believes a token that says ``user:project:role,role``.

    For development and tests; ``wsgi`` never uses it.

    :param application: what is behind it.
    """

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        application: 'WSGIApplication',
        public: Set[str],
    ) -> None:
        self._application = application

    def __call__(
        self, environ: 'WSGIEnvironment', start_response: 'StartResponse'
    ) -> Iterable[bytes]:
        """Answer a request."""
        # WSGI has made Latin-1 of it.
        header = environ.get(f'{_PREFIX}AUTH_TOKEN', '').encode('latin-1')
        token = header.decode('utf-8', 'replace')
        for name in [n for n in environ if n.startswith(_PREFIX)]:
            del environ[name]
        user, _, rest = token.partition(':')
        project, _, roles = rest.partition(':')
        if user and project:
            environ[f'{_PREFIX}IDENTITY_STATUS'] = CONFIRMED
            environ[f'{_PREFIX}USER_ID'] = user
            environ[f'{_PREFIX}USER_NAME'] = user
            environ[f'{_PREFIX}PROJECT_ID'] = project
            environ[f'{_PREFIX}ROLES'] = roles
        return self._application(environ, start_response)
