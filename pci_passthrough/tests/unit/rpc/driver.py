# SPDX-License-Identifier: Apache-2.0
"""A transport that ends in a function instead of a broker."""

from collections.abc import Callable
import json
from typing import Any

from oslo_config import cfg
import oslo_messaging
from oslo_messaging._drivers import common
from oslo_messaging.rpc import dispatcher

from pci_passthrough import conf as conf_module
from pci_passthrough import objects
from pci_passthrough import rpc

#: Gets a message as it is after the wire, returns the answer's content.
Answer = Callable[[dict[str, Any]], Any]


class Driver:
    """A driver for oslo.messaging's client that calls a function.

    :ivar sent: the JSON documents that would have gone over the wire.
    :ivar options: of each, as keyword arguments of the driver.
    """

    def __init__(self, conf: cfg.ConfigOpts, answer: Answer) -> None:
        self.conf = conf
        self._url = oslo_messaging.TransportURL.parse(conf)
        self._answer = answer
        self.sent: list[str] = []
        self.options: list[dict[str, Any]] = []

    def require_features(self, **_features: bool) -> None:
        """Have all of them."""

    def send(
        self,
        target: oslo_messaging.Target,
        ctxt: dict[str, Any],
        message: dict[str, Any],
        **options: Any,
    ) -> Any:
        """Carry a message there and the answer back, both as JSON."""
        self.options.append(options)
        wire = json.dumps(common.serialize_msg(message))
        self.sent.append(wire)
        answer = self._answer(common.deserialize_msg(json.loads(wire)))
        return json.loads(json.dumps(answer))

    def cleanup(self) -> None:
        """Have nothing to clean up."""


class Dispatcher:
    """Answers messages by the methods of endpoints, as a server does."""

    def __init__(self, *endpoints: Any) -> None:
        self._dispatcher = dispatcher.RPCDispatcher(
            list(endpoints),
            objects.PciPassthroughObjectSerializer(),
            oslo_messaging.ExplicitRPCAccessPolicy,
        )

    def answer(self, message: dict[str, Any]) -> Any:
        """Answer one message."""
        return self._dispatcher.dispatch(_Incoming(message))


class _Incoming:
    """A message as oslo.messaging's dispatcher reads it."""

    def __init__(self, message: dict[str, Any]) -> None:
        self.ctxt: dict[str, Any] = {}
        self.message = message
        self.client_timeout = None


def client(
    answer: Answer, timeout: float = 5
) -> tuple[rpc.ConductorClient, Driver]:
    """Return a client whose calls a function answers."""
    conf = conf_module.load([], 'test', config_files=[])
    # Registers the options that oslo.messaging reads.
    rpc.get_transport(conf)
    driver = Driver(conf, answer)
    return rpc.ConductorClient(transport(driver), timeout), driver


def transport(driver: Driver) -> Any:
    """Return a transport that ends in a driver."""
    return oslo_messaging.transport.RPCTransport(driver)
