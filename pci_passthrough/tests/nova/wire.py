# SPDX-License-Identifier: Apache-2.0
"""A conductor within the test's process, called as if it were far away."""

from collections.abc import Callable
from collections.abc import Mapping
import sys
import threading
import types
from typing import Any

import oslo_messaging
from oslo_messaging._drivers import common
from oslo_serialization import jsonutils

from pci_passthrough import conf as conf_module
from pci_passthrough import objects
from pci_passthrough import rpc

#: Called with a method's name and its arguments as primitives; may raise, or
#: never return.
Hook = Callable[[str, Mapping[str, Any]], None]


def _nothing(method: str, arguments: Mapping[str, Any]) -> None:
    pass


class Wire:
    """A driver of oslo.messaging that ends in a conductor's endpoint.

    All but the broker is real: client, dispatcher, serializers, versions,
    JSON, errors made anew. oslo.messaging's own in-process transport polls;
    and it carries out several calls at once, where one that waits for
    SQLite's lock stops the only thread that eventlet has.

    :ivar calls: names of the methods that were called, in order.
    :ivar messages: the same with their arguments.
    :ivar is_down: whether the broker is away.
    :ivar before: called before a call reaches the conductor.
    :ivar after: called when it has been carried out, before the answer.
    :ivar failures: what went wrong in casts, which nobody hears of.
    """

    def __init__(self, endpoint: Any) -> None:
        self.conf = conf_module.load([], 'test', config_files=[])
        # Registers the options that oslo.messaging reads.
        rpc.get_transport(self.conf)
        self._dispatcher = oslo_messaging.RPCDispatcher(
            [endpoint],
            objects.PciPassthroughObjectSerializer(),
            oslo_messaging.ExplicitRPCAccessPolicy,
        )
        self._lock = threading.Lock()
        self.calls: list[str] = []
        self.messages: list[tuple[str, Mapping[str, Any]]] = []
        self.is_down = False
        self.before: Hook = _nothing
        self.after: Hook = _nothing
        self.failures: list[Exception] = []

    def client(self, timeout: float = 10.0) -> rpc.ConductorClient:
        """Return a client that calls through this."""
        transport = oslo_messaging.transport.RPCTransport(self)
        return rpc.ConductorClient(transport, timeout)

    # -- what oslo.messaging needs of a driver --

    def require_features(self, **_features: bool) -> None:
        """Have all of them."""

    def cleanup(self) -> None:
        """Have nothing to clean up."""

    def send(
        self,
        target: oslo_messaging.Target,
        ctxt: dict[str, Any],
        message: dict[str, Any],
        wait_for_reply: bool | None = None,
        **_options: Any,
    ) -> Any:
        """Carry a message there and, for a call, the answer back."""
        if self.is_down and wait_for_reply:
            raise oslo_messaging.MessagingTimeout('nobody answered')
        if self.is_down:
            raise oslo_messaging.MessageDeliveryFailure('nobody listens')
        method = message['method']
        self.calls.append(method)
        self.messages.append((method, message['args']))
        self.before(method, message['args'])
        try:
            answer = self._dispatch(message)
        except Exception as error:
            if wait_for_reply:
                raise
            self.failures.append(error)
            return None
        self.after(method, message['args'])
        return answer

    def _dispatch(self, message: dict[str, Any]) -> Any:
        incoming = types.SimpleNamespace(
            ctxt={}, message=_copied(message), client_timeout=None
        )
        with self._lock:
            try:
                return _copied(self._dispatcher.dispatch(incoming))
            except oslo_messaging.ExpectedException as error:
                failure = error.exc_info
            except Exception:
                failure = sys.exc_info()
        raise common.deserialize_remote_exception(
            common.serialize_remote_exception(failure),
            ['pci_passthrough.exception'],
        )


def _copied(primitive: Any) -> Any:
    """Return what arrives of a primitive at the other end."""
    return jsonutils.loads(jsonutils.dumps(primitive))
