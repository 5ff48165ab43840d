# SPDX-License-Identifier: Apache-2.0
"""``pci-passthrough-api``: the REST API for development.

It runs in one process and listens on loopback only. In production a WSGI
server runs ``pci_passthrough.api.wsgi:application``.
"""

import sys

from oslo_config import cfg
from oslo_log import log as logging
from werkzeug import serving

from pci_passthrough import conf as conf_module
from pci_passthrough.api import authentication
from pci_passthrough.api import deploy
from pci_passthrough.api.backends import Backends
from pci_passthrough.cmd import database_errors

PROG = 'pci-passthrough-api'

#: Port of this development server, not of a production service.
_DEFAULT_PORT = 8786

_CLI_OPTS = [
    cfg.PortOpt(
        'port',
        default=_DEFAULT_PORT,
        help='Port on 127.0.0.1; 0 means any free port.',
    ),
    cfg.BoolOpt(
        'no-auth',
        default=False,
        help='Use no Keystone, and trust every token of the form '
        'user:project:role,role.',
    ),
]


def main(argv: list[str] | None = None) -> int:
    """Serve until interrupted.

    :returns: 0, or 1 after an error, which is on standard error.
    """
    args = sys.argv[1:] if argv is None else argv
    conf: cfg.ConfigOpts | None = None
    try:
        conf = conf_module.load(args, PROG, cli_opts=_CLI_OPTS)
        logging.setup(conf, 'pci_passthrough')
        backends = Backends.from_conf(conf)
        server = serving.make_server(
            '127.0.0.1',
            conf.port,
            deploy.load(conf, backends, _authentication(conf)),
            threaded=True,
        )
    except database_errors.EXPECTED as error:
        return database_errors.report(PROG, error, conf)
    print(f'{PROG}: http://127.0.0.1:{server.server_port}', flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        return 0
    finally:
        backends.close()
    return 0


def _authentication(conf: cfg.ConfigOpts) -> authentication.Authentication:
    return authentication.NoAuth if conf.no_auth else authentication.keystone
