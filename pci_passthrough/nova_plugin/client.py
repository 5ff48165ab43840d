# SPDX-License-Identifier: Apache-2.0
"""The connection of a Nova process to the conductors.

Tests put a client of their own in its place, with ``replace``.
"""

import os

from oslo_config import cfg

from pci_passthrough import rpc
from pci_passthrough.conf import nova as nova_options
from pci_passthrough.nova_plugin.install import bootstrap

#: By process: a child must not read its parent's answers.
_clients: dict[int, rpc.ConductorClient] = {}
_replacement: rpc.ConductorClient | None = None


def conductor(conf: cfg.ConfigOpts | None = None) -> rpc.ConductorClient:
    """Return this process's client; the first call makes it.

    No connection is made yet. Services fork after they have been set up, so
    a child makes its own.

    :param conf: Nova's configuration; None is the one of this process.
    :raises InvalidConfiguration: ``[pci_passthrough] transport_url`` can
        never be opened.
    """
    if _replacement is not None:
        return _replacement
    process = os.getpid()
    client = _clients.get(process)
    if client is None:
        made = _make(bootstrap.nova_conf() if conf is None else conf)
        # Another thread may have been faster.
        client = _clients.setdefault(process, made)
        if client is not made:
            made.close()
    return client


def replace(client: rpc.ConductorClient | None) -> None:
    """Have another client used; for tests.

    :param client: None: the process's own again.
    """
    global _replacement
    _replacement = client


def _make(conf: cfg.ConfigOpts) -> rpc.ConductorClient:
    nova_options.register_opts(conf)
    options = conf.pci_passthrough
    return rpc.ConductorClient(
        rpc.get_transport(conf, url=options.transport_url),
        timeout=options.rpc_timeout,
    )
