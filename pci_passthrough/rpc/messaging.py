# SPDX-License-Identifier: Apache-2.0
"""Transport, topic and serializers, which client and server share."""

import importlib
import importlib.util
from typing import Any

from oslo_config import cfg
import oslo_messaging

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.objects import base as base_obj

#: The topic on which all conductors listen; any of them answers a call.
CONDUCTOR_TOPIC = 'pci_passthrough_conductor'

#: The exchange of the topic. By default, oslo.messaging takes the exchange of
#: the process, which is ``nova`` in Nova's processes. This was the default of
#: the first agents, before they named an exchange.
CONDUCTOR_EXCHANGE = 'openstack'

#: Each call names the version that it requires; this is the lowest one.
_LEAST_VERSION = '1.0'

#: Modules whose exceptions are rebuilt at the caller.
_ERROR_MODULES = ['pci_passthrough.exception']


def get_transport(conf: cfg.ConfigOpts, url: str | None = None) -> Any:
    """Open the transport that ``[DEFAULT] transport_url`` names.

    ``fake:/`` stays within the process. No connection is made yet.

    :param url: overrides ``[DEFAULT] transport_url``; from ``[pci_passthrough]
        transport_url`` in Nova's configuration.
    :raises InvalidConfiguration: the URL can never be used.
    """
    _register_global_options(conf)
    try:
        return oslo_messaging.get_rpc_transport(
            conf, url=url, allowed_remote_exmods=_ERROR_MODULES
        )
    except (
        oslo_messaging.DriverLoadFailure,
        oslo_messaging.InvalidTransportURL,
        ValueError,
    ) as error:
        # Never log the URL itself: it contains a password.
        raise exception.InvalidConfiguration(
            f'[{"pci_passthrough" if url else "DEFAULT"}] transport_url '
            f'cannot be used: {error}; right would be, for example: '
            'rabbit://user:password@controller:5672/'
        ) from error


def check_transport(conf: cfg.ConfigOpts) -> None:
    """Check before a service starts that its transport can be opened.

    The transport is not cleaned up: it has no connection yet, and a cleanup
    of ``fake:/`` would drop the messages of the whole process.

    :raises InvalidConfiguration: the transport cannot be opened.
    """
    get_transport(conf)


def describe_broker(transport: Any) -> str:
    """Return the names of a transport's brokers, without credentials."""
    # oslo.messaging has no public interface for it.
    url = transport._driver._url
    hosts = [f'{host.hostname}:{host.port or 5672}' for host in url.hosts]
    place = ' or '.join(hosts) or f'{url.transport}:/'
    if url.virtual_host:
        place += f' (virtual host {url.virtual_host})'
    return place


def one_line(error: object) -> str:
    """Return the first line of an error's text.

    The other lines of a remote error are the conductor's traceback.
    """
    return str(error).partition('\n')[0]


def _register_global_options(conf: cfg.ConfigOpts) -> None:
    """Register options that oslo.messaging registers only on ``cfg.CONF``.

    But oslo.messaging reads them from the configuration of the transport.
    """
    for name in ('metrics', 'tracing'):
        package = f'oslo_messaging._{name}'
        # Tracing came with oslo.messaging 18.
        if importlib.util.find_spec(package) is not None:
            module = importlib.import_module(f'{package}.client')
            group = f'oslo_messaging_{name}'
            conf.register_opts(getattr(module, group), group=group)


def conductor_client(transport: Any, timeout: float, backporter: Any) -> Any:
    """Return oslo.messaging's client for the conductors.

    :param timeout: seconds to wait for an answer.
    :param backporter: its ``object_backport_versions`` converts objects of
        newer versions to versions that this process knows.
    """
    target = oslo_messaging.Target(
        exchange=CONDUCTOR_EXCHANGE,
        topic=CONDUCTOR_TOPIC,
        version=_LEAST_VERSION,
    )
    return oslo_messaging.get_rpc_client(
        transport,
        target,
        timeout=timeout,
        # Without a limit, a call waits for the broker beyond its timeout.
        retry=1,
        serializer=_BackportingSerializer(backporter),
    )


class _BackportingSerializer(objects.PciPassthroughObjectSerializer):
    """Has objects of newer versions converted to versions known here.

    oslo.versionedobjects reads the converter from an attribute of the base
    class. Each client has a base class of its own, so that nothing is set for
    the whole process, in which an agent and a conductor may run together.
    """

    def __init__(self, backporter: Any) -> None:
        super().__init__()

        class Base(base_obj.PciPassthroughObject):
            indirection_api = backporter

        self.OBJ_BASE_CLASS = Base


#: Seconds after which a conductor and RabbitMQ give each other up, instead of
#: oslo.messaging's 60. RabbitMQ takes twice as long.
_HEARTBEAT = 15


def _shorten_heartbeats(conf: cfg.ConfigOpts) -> None:
    """Let the broker notice soon that a conductor hangs.

    Until then it gives the conductor its share of the calls. A value in the
    configuration file counts nevertheless.
    """
    if 'oslo_messaging_rabbit' in conf:
        conf.set_default(
            'heartbeat_timeout_threshold',
            _HEARTBEAT,
            group='oslo_messaging_rabbit',
        )


def conductor_server(transport: Any, server: str, *endpoints: Any) -> Any:
    """Return oslo.messaging's server; ``start()`` makes it listen.

    :param server: this conductor's name, unique within the cloud.
    :param endpoints: objects with the methods that callers can call.
    """
    _shorten_heartbeats(transport.conf)
    return oslo_messaging.get_rpc_server(
        transport,
        oslo_messaging.Target(
            exchange=CONDUCTOR_EXCHANGE, topic=CONDUCTOR_TOPIC, server=server
        ),
        list(endpoints),
        executor='threading',
        serializer=objects.PciPassthroughObjectSerializer(),
        access_policy=oslo_messaging.ExplicitRPCAccessPolicy,
    )
