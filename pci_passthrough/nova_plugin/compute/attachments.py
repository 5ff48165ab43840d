# SPDX-License-Identifier: Apache-2.0
"""All attachments of one host: its devices of PCI flavors that are held."""

from collections.abc import Iterable
from collections.abc import Iterator
import itertools
from typing import Any

from pci_passthrough import objects
from pci_passthrough.nova_plugin.compute import attachment
from pci_passthrough.nova_plugin.compute import host_conductor
from pci_passthrough.nova_plugin.compute import rowless

#: An attachment, with a row of Nova or without one.
AnyAttachment = attachment.Attachment | rowless.RowlessAttachment


def claimed(
    context: Any, node_id: int, device: objects.PciDevice
) -> AnyAttachment:
    """Return the attachment of a device that was just claimed.

    :param device: as the conductor has claimed it.
    """
    if rowless.is_rowless(device):
        return rowless.RowlessAttachment(device)
    return attachment.Attachment.claimed(context, node_id, device)


def restored(
    context: Any, node_id: int, device: objects.PciDevice
) -> AnyAttachment:
    """Return the lost attachment of a held device again, unsaved."""
    if rowless.is_rowless(device):
        return rowless.RowlessAttachment(device)
    return attachment.Attachment.restored(context, node_id, device)


class Attachments:
    """The attachments of a host; saves them and calls the conductor.

    :param rows: Nova's rows of attachments, as read when nova-compute starts.
    :param conductor: the conductor, for this host.
    :ivar is_complete: whether the attachments without rows are known, too:
        not before a conductor has answered.
    """

    def __init__(
        self, rows: Iterable[Any], conductor: host_conductor.HostConductor
    ) -> None:
        self._conductor = conductor
        self._all: list[AnyAttachment] = [
            attachment.Attachment(row) for row in rows
        ]
        self.is_complete = False
        #: (instance, claim) of dropped attachments, to be freed by ``save``
        self._to_free: set[tuple[str | None, str]] = set()

    def __iter__(self) -> Iterator[AnyAttachment]:
        return iter(self._all)

    def add(self, attached: AnyAttachment) -> None:
        """Add an attachment, unless it is known already."""
        if attached not in self._all:
            self._all.append(attached)

    def remember(
        self, held: Iterable[objects.PciDevice]
    ) -> list[AnyAttachment]:
        """Add attachments without rows of which only the conductor knows.

        :param held: all held devices of the host.
        :returns: the added attachments.
        """
        added: list[AnyAttachment] = [
            rowless.RowlessAttachment.remembered(device)
            for device in held
            if rowless.is_rowless(device) and self.at(device.address) is None
        ]
        self._all += added
        self.is_complete = True
        return added

    def drop(self, attached: AnyAttachment) -> None:
        """Drop an attachment; the next ``save`` frees its device."""
        self._all.remove(attached)
        if attached.instance_uuid is not None:
            self._to_free.add((attached.instance_uuid, attached.claim_id))

    def held(self) -> list[AnyAttachment]:
        """Return the attachments of devices that instances have."""
        # A copy: not all callers hold Nova's lock of all claims.
        return [held for held in tuple(self._all) if not held.is_released]

    def of(
        self, instance_uuid: str, allocated: bool | None = None
    ) -> list[AnyAttachment]:
        """Return the attachments of an instance.

        :param allocated: True for allocations only, False for claims only;
            None means both.
        """
        return [
            held
            for held in self.held()
            if held.instance_uuid == instance_uuid
            and allocated in (None, held.is_allocated)
        ]

    def rowless_of(self, instance_uuid: str) -> list[objects.PciDevice]:
        """Return the devices without rows that an instance holds."""
        return [
            held.device
            for held in self.of(instance_uuid)
            if isinstance(held, rowless.RowlessAttachment)
        ]

    def at(self, address: str) -> AnyAttachment | None:
        """Return the attachment of the device at an address, if any."""
        for attached in self._all:
            if attached.address == address:
                return attached
        return None

    def new_claim_id(self, instance_uuid: str, request_id: str) -> str:
        """Return a claim id that no allocation of the instance has."""
        taken = {held.claim_id for held in self.of(instance_uuid, True)}
        numbered = (
            attachment.claim_number(request_id, number)
            for number in itertools.count(1)
        )
        return next(claim for claim in numbered if claim not in taken)

    def save(self, context: Any) -> None:
        """Save Nova's rows, then report changes to the conductor.

        The periodic task repairs what the conductor did not get.
        """
        released = [known for known in self._all if known.is_released]
        for attached in released:
            attached.save(context)
        # Before the others are saved: one may be for the same device.
        for attached in released:
            attached.delete(context)
            self.drop(attached)
        for attached in self._all:
            attached.save(context)
        self._free_dropped()
        self._report_allocations()

    def _free_dropped(self) -> None:
        kept = {(known.instance_uuid, known.claim_id) for known in self._all}
        freed = _by_instance(self._to_free - kept)
        self._to_free.clear()
        for instance_uuid, claims in freed.items():
            self._conductor.free(instance_uuid, claims)

    def _report_allocations(self) -> None:
        unreported = [
            known
            for known in self._all
            if known.is_allocated and not known.is_reported
        ]
        claims = _by_instance(
            {(known.instance_uuid, known.claim_id) for known in unreported}
        )
        for instance_uuid, claim_ids in claims.items():
            self._conductor.allocate(instance_uuid, claim_ids)
        for attached in unreported:
            attached.is_reported = True


def _by_instance(pairs: set[tuple[str | None, str]]) -> dict[str, list[str]]:
    """Return instance UUID to claim ids, both sorted."""
    claims: dict[str, list[str]] = {}
    for instance_uuid, claim in sorted(
        (str(instance), claim) for instance, claim in pairs
    ):
        claims.setdefault(instance_uuid, []).append(claim)
    return claims
