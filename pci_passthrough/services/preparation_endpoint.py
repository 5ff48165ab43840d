# SPDX-License-Identifier: Apache-2.0
"""Answers the RPC methods about handlers, and about starts of guests."""

from oslo_log import log as logging
import oslo_messaging

from pci_passthrough import objects
from pci_passthrough import store
from pci_passthrough.rpc import methods
from pci_passthrough.services import answering
from pci_passthrough.services import call_budget
from pci_passthrough.store.claims import starts
from pci_passthrough.store.devices import preparing

LOG = logging.getLogger(__name__)


class PreparationEndpoint(call_budget.Endpoint):
    """Tells agents what to prepare, and records how it and guests ended.

    ``rpc.preparations.PreparationCalls`` documents the methods.

    :param db: the database.
    :param policy: ``[conductor]`` of the configuration.
    """

    target = oslo_messaging.Target(version=methods.VERSION)

    def __init__(self, db: store.Writer, policy: store.Policy) -> None:
        self._db = db
        self._policy = policy

    @answering.answers(methods.Conductor.preparations)
    def preparations(self, host: str) -> list[objects.Preparation]:
        """See ``store.devices.preparing.due``."""
        return preparing.due(self._db, host)

    @answering.answers(methods.Conductor.may_prepare)
    def may_prepare(self, host: str, address: str, fence: int) -> bool:
        """See ``store.devices.preparing.may_prepare``."""
        return preparing.may_prepare(self._db, host, address, fence)

    @answering.answers(methods.Conductor.preparation_progress)
    def preparation_progress(
        self,
        host: str,
        address: str,
        fence: int,
        percent: int | None,
        text: str,
    ) -> None:
        """See ``store.devices.preparing.progress``."""
        preparing.progress(self._db, host, address, fence, percent, text)

    @answering.answers(methods.Conductor.prepared)
    def prepared(
        self,
        host: str,
        address: str,
        fence: int,
        succeeded: bool,
        output: str,
    ) -> str:
        """See ``store.devices.preparing.prepared``."""
        status = preparing.prepared(
            self._db,
            self._policy.bounds,
            host,
            address,
            fence,
            succeeded,
            output,
        )
        log = LOG.info if succeeded else LOG.warning
        log(
            'Handlers of device %s/%s %s; it is %s now: %s',
            host,
            address,
            'have prepared it' if succeeded else 'failed',
            status,
            objects.recordable.output_line(output) or 'no output',
        )
        return status

    @answering.answers(methods.Conductor.start_failed)
    def start_failed(
        self, host: str, instance_uuid: str, text: str, actor: str
    ) -> None:
        """See ``store.claims.starts.failed``."""
        addresses = starts.failed(self._db, host, instance_uuid, text, actor)
        LOG.warning(
            'The guest of instance %s could not be started on %s with %s: %s',
            instance_uuid,
            host,
            ', '.join(addresses) or 'no device',
            objects.recordable.output_line(text),
        )

    @answering.answers(methods.Conductor.guest_started)
    def guest_started(self, host: str, instance_uuid: str, actor: str) -> None:
        """See ``store.claims.starts.succeeded``."""
        starts.succeeded(self._db, host, instance_uuid, actor)
