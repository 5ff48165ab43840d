# SPDX-License-Identifier: Apache-2.0
"""Authentication: by Keystone or, for development, by trusting everybody."""

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

#: Wraps an application in a middleware that authenticates the user. The
#: last argument has the paths that need no token.
Authentication = Callable[
    [cfg.ConfigOpts, 'WSGIApplication', Set[str]], 'WSGIApplication'
]

#: The value of X-Identity-Status for a valid token.
CONFIRMED = 'Confirmed'

_PREFIX = 'HTTP_X_'


def keystone(
    conf: cfg.ConfigOpts,
    application: 'WSGIApplication',
    public: Set[str],
) -> 'WSGIApplication':
    """Return an application for which Keystone validates the tokens.

    ``[keystone_authtoken]`` configures keystonemiddleware. Its option
    ``delay_auth_decision`` would make the list of public paths superfluous.
    But with it the middleware treats every token as invalid while Keystone is
    down, and clients would drop theirs.

    :param public: the paths that need no token.
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
        # The path is empty for the root of a service that is below another
        # path.
        is_public = (environ.get('PATH_INFO') or '/') in public
        responsible = application if is_public else protected
        return responsible(environ, start_response)

    return answer


class NoAuth:
    """Trusts every token; its form is ``user:project:role,role``.

    For development and tests; ``wsgi`` never uses it.

    :param application: the application to protect.
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
        # WSGI decodes headers as Latin-1.
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
