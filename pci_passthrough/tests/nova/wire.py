# SPDX-License-Identifier: Apache-2.0
"""Connects RPC clients to a conductor in the same process, without broker."""

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

#: Called with a method's name and its arguments as primitives. It may raise,
#: or never return.
Hook = Callable[[str, Mapping[str, Any]], None]


def _nothing(method: str, arguments: Mapping[str, Any]) -> None:
    pass


class Wire:
    """A driver of oslo.messaging that calls a conductor's endpoints.

    Only the broker is missing: client, dispatcher, serializers, versions,
    JSON and the conversion of errors are real. oslo.messaging's in-process
    transport polls. It also executes several calls at once, and a call that
    waits for SQLite's lock would stop the only thread of eventlet.

    :ivar calls: names of the called methods, in order.
    :ivar messages: the called methods with their arguments.
    :ivar is_down: whether the broker does not answer.
    :ivar before: called before the conductor gets a call.
    :ivar after: called after the conductor has executed a call, before the
        answer.
    :ivar failures: errors of casts, which their senders do not get.
    """

    def __init__(self, *endpoints: Any) -> None:
        self.conf = conf_module.load([], 'test', config_files=[])
        # Registers the options that oslo.messaging reads.
        rpc.get_transport(self.conf)
        self._dispatcher = oslo_messaging.RPCDispatcher(
            list(endpoints),
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
        """Return a client that uses this driver."""
        transport = oslo_messaging.transport.RPCTransport(self)
        return rpc.ConductorClient(transport, timeout)

    # -- methods of a driver --

    def require_features(self, **_features: bool) -> None:
        """Support all features."""

    def cleanup(self) -> None:
        """Do nothing."""

    def send(
        self,
        target: oslo_messaging.Target,
        ctxt: dict[str, Any],
        message: dict[str, Any],
        wait_for_reply: bool | None = None,
        **_options: Any,
    ) -> Any:
        """Send a message to the conductor; return the answer of a call."""
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
    """Return a primitive as the receiver gets it."""
    return jsonutils.loads(jsonutils.dumps(primitive))
