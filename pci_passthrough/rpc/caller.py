# SPDX-License-Identifier: Apache-2.0
"""Calls RPC methods of conductors, and turns failures into errors."""

from collections.abc import Mapping
import functools
import time
from typing import Any
from typing import ParamSpec
from typing import TypeVar

from oslo_log import log as logging
import oslo_messaging

from pci_passthrough import exception
from pci_passthrough.rpc import busy
from pci_passthrough.rpc import connection
from pci_passthrough.rpc import messaging
from pci_passthrough.rpc import methods
from pci_passthrough.rpc import outbox

LOG = logging.getLogger(__name__)

_P = ParamSpec('_P')
_R = TypeVar('_R')

#: Seconds left for the answer at least, however long connecting took.
_LEAST_SECONDS = 5.0

#: A conductor that hangs keeps what it was sent. With two conductors, one of
#: which hangs, the second try is answered, unless other calls come between.
_MOST_TRIES = 3

#: Seconds after which a conductor that gives no sign of life has its call
#: sent to another one, at least. oslo.messaging takes whole seconds, and
#: signs of life come twice in them.
_LEAST_PATIENCE = 3


class Caller:
    """Calls declared methods of any conductor.

    Each method is called with the version of the interface that it came
    with, not with the newest one, so that callers also work with conductors
    of an earlier release.

    :param transport: from ``messaging.get_transport``, for this client
        alone; ``close`` closes it.
    :param timeout: seconds to wait for an answer.
    """

    def __init__(self, transport: Any, timeout: float) -> None:
        self._timeout = timeout
        self._connection = connection.ReplyConnection(transport)
        self._client = messaging.conductor_client(
            transport, timeout, backporter=self
        )
        self._outbox = outbox.Outbox()

    def close(self) -> None:
        """Close the transport, within a few seconds.

        ``transport.cleanup()`` would wait for a broker that is away.
        """
        self._outbox.close()
        self._connection.close()

    def object_backport_versions(
        self,
        context: Mapping[str, Any],
        objinst: Any,
        object_versions: Mapping[str, str],
    ) -> Any:
        """Have a conductor convert its newer object to a version known here.

        oslo.versionedobjects calls it for an answer of a newer version.
        """
        return self._call(
            methods.Conductor.object_backport_versions,
            objinst=objinst,
            object_versions=dict(object_versions),
        )

    def _call(
        self,
        method: methods.Method[_P, _R],
        /,
        *args: _P.args,
        **kwargs: _P.kwargs,
    ) -> _R:
        """Call a method of any conductor and return its answer.

        Every failure becomes one of this project's errors, so that none of
        them ends the calling process. A defect of a conductor arrives as
        ``RemoteError`` or as one of Python's own exceptions, rebuilt here;
        oslo.messaging lets exceptions of kombu and amqp pass unchanged.

        :raises: ConductorUnavailable; and this project's errors that the
            method raises.
        """
        name = method.name
        arguments = method.signature.bind(*args, **kwargs).arguments
        try:
            waited = self._connection.wait(self._timeout)
            # Connecting and calling together hardly exceed the timeout.
            left = max(
                self._timeout - waited, min(self._timeout, _LEAST_SECONDS)
            )
            answer: _R = busy.until_admitted(
                functools.partial(self._send, method, arguments), left
            )
            return answer
        except exception.PciPassthroughError:
            raise
        except oslo_messaging.MessagingTimeout as error:
            raise exception.ConductorUnavailable(
                f'no pci-passthrough-conductor answered {name!r} in time; '
                'is one running, on the same broker and virtual host?'
            ) from error
        except oslo_messaging.RemoteError as error:
            raise _conductor_failed(name, error) from error
        except oslo_messaging.MessageDeliveryFailure as error:
            raise exception.ConductorUnavailable(
                f'{name!r} could not be sent, the broker is away: '
                f'{messaging.one_line(error)}'
            ) from error
        except Exception as error:
            raise exception.ConductorUnavailable(
                f'{name!r} failed: {type(error).__name__}: '
                f'{messaging.one_line(error)}'
            ) from error

    def _send(
        self, method: methods.Method[..., Any], arguments: Any, seconds: float
    ) -> Any:
        """Send a call, some again while no conductor works on them.

        The broker gives each message to another conductor. One that works
        gives signs of life meanwhile, so that a slow answer costs no second
        execution.

        :param seconds: longest wait for all tries together.
        :raises MessagingTimeout: nobody answered any of them.
        """
        patience = max(_LEAST_PATIENCE, int(seconds / _MOST_TRIES))
        deadline = time.monotonic() + seconds
        for tries_left in reversed(range(_MOST_TRIES)):
            left = deadline - time.monotonic()
            is_last = (
                not method.repeats or not tries_left or left < 2 * patience
            )
            try:
                return self._client.prepare(
                    timeout=left,
                    call_monitor_timeout=None if is_last else patience,
                    version=method.since,
                ).call({}, method.name, **arguments)
            except oslo_messaging.MessagingTimeout:
                if is_last or time.monotonic() > deadline - _LEAST_PATIENCE:
                    raise
                LOG.warning(
                    'No conductor has worked on %r for %d seconds; asking '
                    'again',
                    method.name,
                    patience,
                )
        raise AssertionError('there is a last try')


def _conductor_failed(
    method: str, error: oslo_messaging.RemoteError
) -> exception.ConductorUnavailable:
    if error.exc_type == 'UnsupportedVersion':
        return exception.ConductorUnavailable(
            f'the conductor that answered {method!r} is of an earlier '
            'release; conductors are upgraded first'
        )
    return exception.ConductorUnavailable(
        f'the conductor failed at {method!r}: {error.exc_type}: '
        f'{messaging.one_line(error.value)}'
    )
