# SPDX-License-Identifier: Apache-2.0
"""Transport, topic and serializer: what both ends have in common."""

import importlib
import importlib.util
from typing import Any

from oslo_config import cfg
import oslo_messaging

from pci_passthrough import objects

#: Where conductors listen. Any of them takes a call.
CONDUCTOR_TOPIC = 'pci_passthrough_conductor'

#: The newest version of the interface, and its history:
#:
#: * 1.0 - heartbeat, report, claim, allocate, abort, free
CONDUCTOR_VERSION = '1.0'

#: Errors which may be made anew at the caller's end.
_ERROR_MODULES = ['pci_passthrough.exception']


def get_transport(conf: cfg.ConfigOpts) -> Any:
    """Open the transport that ``[DEFAULT] transport_url`` names.

    ``fake:/`` stays within the process.
    """
    _register_global_options(conf)
    return oslo_messaging.get_rpc_transport(
        conf, allowed_remote_exmods=_ERROR_MODULES
    )


def _register_global_options(conf: cfg.ConfigOpts) -> None:
    """Register options that oslo.messaging registers on ``cfg.CONF`` only.

    At each call it reads them from the configuration that it was given.
    """
    for name in ('metrics', 'tracing'):
        package = f'oslo_messaging._{name}'
        # Tracing came with oslo.messaging 18.
        if importlib.util.find_spec(package) is not None:
            module = importlib.import_module(f'{package}.client')
            group = f'oslo_messaging_{name}'
            conf.register_opts(getattr(module, group), group=group)


def conductor_client(transport: Any, timeout: float) -> Any:
    """Return oslo.messaging's client for the conductors."""
    target = oslo_messaging.Target(
        topic=CONDUCTOR_TOPIC, version=CONDUCTOR_VERSION
    )
    return oslo_messaging.get_rpc_client(
        transport,
        target,
        timeout=timeout,
        # Without a bound, a call waits for the broker and not for its
        # timeout.
        retry=1,
        serializer=objects.PciPassthroughObjectSerializer(),
    )


def conductor_server(transport: Any, server: str, endpoint: Any) -> Any:
    """Return oslo.messaging's server; ``start()`` makes it listen.

    :param server: this conductor's name, unique within the cloud.
    :param endpoint: ``services.conductor.ConductorEndpoint``.
    """
    return oslo_messaging.get_rpc_server(
        transport,
        oslo_messaging.Target(topic=CONDUCTOR_TOPIC, server=server),
        [endpoint],
        executor='threading',
        serializer=objects.PciPassthroughObjectSerializer(),
        access_policy=oslo_messaging.ExplicitRPCAccessPolicy,
    )
