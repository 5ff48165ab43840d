# SPDX-License-Identifier: Apache-2.0
"""Transport, topic and serializer: what both ends have in common."""

import importlib
import importlib.util
from typing import Any

from oslo_config import cfg
import oslo_messaging

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.objects import base as base_obj

#: Where conductors listen. Any of them takes a call.
CONDUCTOR_TOPIC = 'pci_passthrough_conductor'

#: Where the topic is looked for. Without it, oslo.messaging takes the
#: process's own, which is another in each project's processes: in Nova's it is
#: ``nova``. This is what agents have used before they named it.
CONDUCTOR_EXCHANGE = 'openstack'

#: Each call names the version that it requires; this is the lowest one.
_LEAST_VERSION = '1.0'

#: Errors which may be made anew at the caller's end.
_ERROR_MODULES = ['pci_passthrough.exception']


def get_transport(conf: cfg.ConfigOpts, url: str | None = None) -> Any:
    """Open the transport that ``[DEFAULT] transport_url`` names.

    ``fake:/`` stays within the process. No connection is made yet.

    :param url: another one than that; from ``[pci_passthrough]``, for it is
        Nova's configuration that has both.
    :raises InvalidConfiguration: no such transport can ever be opened.
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
        # Never the URL itself: there is a password in it.
        raise exception.InvalidConfiguration(
            f'[{"pci_passthrough" if url else "DEFAULT"}] transport_url '
            f'cannot be used: {error}; right would be, for example: '
            'rabbit://user:password@controller:5672/'
        ) from error


def check_transport(conf: cfg.ConfigOpts) -> None:
    """Find out before a service starts whether it can have a transport.

    There is nothing to clean up yet; and ``fake:/`` would drop the messages
    of the whole process.

    :raises InvalidConfiguration: it cannot.
    """
    get_transport(conf)


def describe_broker(transport: Any) -> str:
    """Name a transport's brokers, without user and password."""
    # Not in the interface of oslo.messaging, which has none for it.
    url = transport._driver._url
    hosts = [f'{host.hostname}:{host.port or 5672}' for host in url.hosts]
    place = ' or '.join(hosts) or f'{url.transport}:/'
    if url.virtual_host:
        place += f' (virtual host {url.virtual_host})'
    return place


def one_line(error: object) -> str:
    """Return the first line of an error's text.

    A remote error's text has the conductor's traceback below it.
    """
    return str(error).partition('\n')[0]


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


def conductor_client(transport: Any, timeout: float, backporter: Any) -> Any:
    """Return oslo.messaging's client for the conductors.

    :param timeout: seconds to wait for an answer.
    :param backporter: has ``object_backport_versions``, which turns objects
        that are newer than this process into ones that it knows.
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
        # Without a bound, a call waits for the broker and not for its
        # timeout.
        retry=1,
        serializer=_BackportingSerializer(backporter),
    )


class _BackportingSerializer(objects.PciPassthroughObjectSerializer):
    """Has newer objects turned into ones that are known here.

    oslo.versionedobjects takes the way to do so from an attribute of a
    class. This one is made for a single client, so that nothing is set for
    the whole process, where agents and conductors may live together.
    """

    def __init__(self, backporter: Any) -> None:
        super().__init__()

        class Base(base_obj.PciPassthroughObject):
            indirection_api = backporter

        self.OBJ_BASE_CLASS = Base


def conductor_server(transport: Any, server: str, *endpoints: Any) -> Any:
    """Return oslo.messaging's server; ``start()`` makes it listen.

    :param server: this conductor's name, unique within the cloud.
    :param endpoints: have the methods that it answers.
    """
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
