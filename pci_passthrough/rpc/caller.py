# SPDX-License-Identifier: Apache-2.0
"""How a conductor is called, whatever it is asked."""

from collections.abc import Mapping
from typing import Any

import oslo_messaging

from pci_passthrough import exception
from pci_passthrough.rpc import connection
from pci_passthrough.rpc import messaging
from pci_passthrough.rpc import outbox

#: Seconds that are left for the answer in any case, however long the
#: connection took.
_LEAST_SECONDS = 5.0


class Caller:
    """Calls methods of any conductor by their names.

    A method that is new in version 1.N is called with
    ``prepare(version='1.N')``; all others stay callable by what they needed
    when they came, so that conductors can be upgraded first and agents later.

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
        self._outbox = outbox.Outbox(self._cast)

    def close(self) -> None:
        """Close the transport; it takes no longer than a few seconds.

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
        """Have a newer conductor's object turned into one known here.

        Called by oslo.versionedobjects for an answer of a newer version.
        """
        return self._call(
            'object_backport_versions',
            objinst=objinst,
            object_versions=dict(object_versions),
        )

    def _cast(self, method: str, arguments: Mapping[str, Any]) -> None:
        """Send without waiting for an answer. Methods that came with 1.1.

        :raises: ConductorUnavailable; and whatever the driver raises.
        """
        self._connection.wait(self._timeout)
        client = self._client.prepare(version='1.1')
        client.cast({}, method, **arguments)

    def _call(self, method: str, since: str = '1.0', **arguments: Any) -> Any:
        """Call a conductor; whatever goes wrong becomes this project's error.

        :param since: the version of the interface with which the method came.

        A conductor's defect shows as ``RemoteError`` or as one of Python's
        own errors, made anew here; kombu's and amqp's pass oslo.messaging
        as they are. None of them is a reason for the caller to end.
        """
        try:
            waited = self._connection.wait(self._timeout)
            # Together with the wait, hardly longer than the timeout.
            left = max(
                self._timeout - waited, min(self._timeout, _LEAST_SECONDS)
            )
            client = self._client.prepare(timeout=left, version=since)
            return client.call({}, method, **arguments)
        except exception.PciPassthroughError:
            raise
        except oslo_messaging.MessagingTimeout as error:
            raise exception.ConductorUnavailable(
                f'no pci-passthrough-conductor answered {method!r} in time; '
                'is one running, on the same broker and virtual host?'
            ) from error
        except oslo_messaging.RemoteError as error:
            if error.exc_type == 'UnsupportedVersion':
                raise exception.ConductorUnavailable(
                    f'no {method!r}: a conductor that answers is of an '
                    'earlier release; conductors are upgraded first'
                ) from error
            raise exception.ConductorUnavailable(
                f'the conductor failed at {method!r}: {error.exc_type}: '
                f'{messaging.one_line(error.value)}'
            ) from error
        except oslo_messaging.MessageDeliveryFailure as error:
            raise exception.ConductorUnavailable(
                f'{method!r} could not be sent, the broker is away: '
                f'{messaging.one_line(error)}'
            ) from error
        except Exception as error:
            raise exception.ConductorUnavailable(
                f'{method!r} failed: {type(error).__name__}: '
                f'{messaging.one_line(error)}'
            ) from error
