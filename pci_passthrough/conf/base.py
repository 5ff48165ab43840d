# SPDX-License-Identifier: Apache-2.0
"""``[DEFAULT]``: what every program needs."""

import socket

from oslo_config import cfg

_OPTS: list[cfg.Opt] = [
    cfg.StrOpt(
        'host',
        default=socket.gethostname(),
        sample_default='<the host name>',
        help="""
The name by which this host is known to the cloud.

It must be the ``[DEFAULT] host`` of the nova-compute that runs beside the
agent: devices are offered under this name, and a claim for a host of another
name finds none. The default is right wherever Nova's own default is.

Changing it makes the host a new one; devices which instances hold stay
recorded under the old name.
""",
    ),
    cfg.StrOpt(
        'state_path',
        default='/var/lib/pci-passthrough',
        help="""
The directory for what must survive a restart.

Only the embedded database lives here, ``pci_passthrough.sqlite``, when
``[database] connection`` names no other. It must exist and be writable for
the service's user.
""",
    ),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    """Register the options."""
    conf.register_opts(_OPTS)


def list_opts() -> list[tuple[str | None, list[cfg.Opt]]]:
    """Return the options by group."""
    return [('DEFAULT', _OPTS)]
