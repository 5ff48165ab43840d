# SPDX-License-Identifier: Apache-2.0
"""The conductors' interface, from the caller's side."""

from collections.abc import Collection
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import oslo_messaging

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.rpc import connection
from pci_passthrough.rpc import messaging

#: Seconds that are left for the answer in any case, however long the
#: connection took.
_LEAST_SECONDS = 5.0


class ConductorClient:
    """Calls any conductor.

    A method that is new in version 1.N is called with
    ``prepare(version='1.N')``; all others stay callable by what they needed
    when they came, so that conductors can be upgraded first and agents later.

    A broker that is away makes a call fail, with ``ConductorUnavailable``:
    at once if a connection to it was refused or broke, and after ``timeout``
    if there has not been any. The worst case is ``timeout`` and some 15
    seconds more: a broker that hangs while its connections stay open. Such a
    call was not sent, or nobody knows whether it was; it may be repeated.

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

    def close(self) -> None:
        """Close the transport; it takes no longer than a few seconds.

        ``transport.cleanup()`` would wait for a broker that is away.
        """
        self._connection.close()

    def heartbeat(
        self, host: str, generation: int, digest: str
    ) -> objects.ReportAck:
        """Say that a host has nothing new.

        :param generation: of the host, as last acknowledged.
        :param digest: of the snapshot that was acknowledged.
        """
        ack: objects.ReportAck = self._call(
            'heartbeat', host=host, generation=generation, digest=digest
        )
        return ack

    def report(self, report: objects.HostReport) -> objects.ReportAck:
        """Send what a host offers, or what changed."""
        ack: objects.ReportAck = self._call('report', report=report)
        return ack

    def claim(
        self,
        host: str,
        instance_uuid: str,
        requests: Sequence[objects.PciRequest],
        actor: str,
        numa: objects.NumaAffinity | None = None,
        project_id: str | None = None,
    ) -> list[objects.PciDevice]:
        """Hold devices for an instance; see ``store.claims.claim``.

        :raises: ClaimRefused and the other errors named there.
        """
        result = self._call(
            'claim',
            host=host,
            instance_uuid=instance_uuid,
            requests=list(requests),
            actor=actor,
            numa=numa,
            project_id=project_id,
        )
        if result.refusal is not None:
            raise exception.ClaimRefused(result.refusal, result.reasons)
        return list(result.devices)

    def allocate(
        self,
        host: str,
        instance_uuid: str,
        actor: str,
        request_ids: Collection[str] | None = None,
    ) -> list[objects.PciDevice]:
        """Turn claims into allocations; see ``store.claims.allocate``."""
        return self._move('allocate', host, instance_uuid, actor, request_ids)

    def abort(
        self,
        host: str,
        instance_uuid: str,
        actor: str,
        request_ids: Collection[str] | None = None,
    ) -> list[objects.PciDevice]:
        """Give back claims; see ``store.claims.abort``."""
        return self._move('abort', host, instance_uuid, actor, request_ids)

    def free(
        self,
        host: str | None,
        instance_uuid: str,
        actor: str,
        request_ids: Collection[str] | None = None,
    ) -> list[objects.PciDevice]:
        """Give back all; see ``store.claims.free``."""
        return self._move('free', host, instance_uuid, actor, request_ids)

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

    def _move(
        self,
        method: str,
        host: str | None,
        instance_uuid: str,
        actor: str,
        request_ids: Collection[str] | None,
    ) -> list[objects.PciDevice]:
        result = self._call(
            method,
            host=host,
            instance_uuid=instance_uuid,
            actor=actor,
            request_ids=None if request_ids is None else sorted(request_ids),
        )
        return list(result.devices)

    def _call(self, method: str, **arguments: Any) -> Any:
        """Call a conductor; whatever goes wrong becomes this project's error.

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
            client = self._client.prepare(timeout=left)
            return client.call({}, method, **arguments)
        except exception.PciPassthroughError:
            raise
        except oslo_messaging.MessagingTimeout as error:
            raise exception.ConductorUnavailable(
                f'no pci-passthrough-conductor answered {method!r} in time; '
                'is one running, on the same broker and virtual host?'
            ) from error
        except oslo_messaging.RemoteError as error:
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
