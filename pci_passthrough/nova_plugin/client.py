# SPDX-License-Identifier: Apache-2.0
"""The RPC client of a Nova process for the conductors.

Tests replace it with ``replace``.
"""

import os

from oslo_config import cfg

from pci_passthrough import rpc
from pci_passthrough.conf import nova as nova_options
from pci_passthrough.nova_plugin.install import bootstrap

#: Process id to client: a child must not read its parent's answers.
_clients: dict[int, rpc.ConductorClient] = {}
_replacement: rpc.ConductorClient | None = None


def conductor(conf: cfg.ConfigOpts | None = None) -> rpc.ConductorClient:
    """Return the client of this process; the first call makes it.

    The client connects with its first call. Nova's services fork child
    processes after they have started, and each child makes its own client.

    :param conf: Nova's configuration; None means that of this process.
    :raises InvalidConfiguration: ``[pci_passthrough] transport_url`` is
        wrong.
    """
    if _replacement is not None:
        return _replacement
    process = os.getpid()
    client = _clients.get(process)
    if client is None:
        fresh = _make(bootstrap.nova_conf() if conf is None else conf)
        # Another thread may have been faster.
        client = _clients.setdefault(process, fresh)
        if client is not fresh:
            fresh.close()
    return client


def replace(client: rpc.ConductorClient | None) -> rpc.ConductorClient | None:
    """Set another client; for tests.

    :param client: None means the process's own client again.
    :returns: the client that was set before.
    """
    global _replacement
    before, _replacement = _replacement, client
    return before


def _make(conf: cfg.ConfigOpts) -> rpc.ConductorClient:
    nova_options.register_opts(conf)
    options = conf.pci_passthrough
    return rpc.ConductorClient(
        rpc.get_transport(conf, url=options.transport_url),
        timeout=options.rpc_timeout,
    )
