# SPDX-License-Identifier: Apache-2.0
"""Options of the group ``[DEFAULT]``, for all programs."""

import socket

from oslo_config import cfg

_OPTS: list[cfg.Opt] = [
    cfg.StrOpt(
        'host',
        default=socket.gethostname(),
        sample_default='<the host name>',
        help="""
The name of this host in the cloud, for example ``compute-17``.

On a compute host it must be equal to nova-compute's ``[DEFAULT] host``. The
agent offers the devices under this name, and Nova claims devices under
nova-compute's name. If the names differ, claims find no devices. Leave the
default if nova-compute has its default, too.

After a change this is a new host for the conductors. Devices that instances
hold remain recorded under the old name.
""",
    ),
    cfg.StrOpt(
        'state_path',
        default='/var/lib/pci-passthrough',
        help="""
The directory for data that must survive a restart.

Only the embedded database, ``pci_passthrough.sqlite``, is stored here, unless
``[database] connection`` names another database. The directory must exist and
be writable for the service's user; otherwise the services cannot open the
embedded database.
""",
    ),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    """Register the options."""
    conf.register_opts(_OPTS)


def list_opts() -> list[tuple[str | None, list[cfg.Opt]]]:
    """Return the options by group."""
    return [('DEFAULT', _OPTS)]
