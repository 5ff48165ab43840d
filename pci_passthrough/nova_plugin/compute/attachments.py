# SPDX-License-Identifier: Apache-2.0
"""All of Nova's rows for devices of this project on one host."""

from collections.abc import Iterable
from collections.abc import Iterator
import itertools
from typing import Any

from pci_passthrough.nova_plugin.compute import attachment
from pci_passthrough.nova_plugin.compute import host_conductor


class Attachments:
    """The rows of a host, and what is still to be told about them.

    :param rows: as they were found at start.
    :param devices: of the host.
    """

    def __init__(
        self, rows: Iterable[Any], devices: host_conductor.HostDevices
    ) -> None:
        self._devices = devices
        self._all = [attachment.Attachment(row) for row in rows]
        #: (instance, claim) of rows that are not ours any more
        self._to_free: set[tuple[str | None, str]] = set()

    def __iter__(self) -> Iterator[attachment.Attachment]:
        return iter(self._all)

    def add(self, one: attachment.Attachment) -> None:
        """Add a row; one that is there already is fine."""
        if one not in self._all:
            self._all.append(one)

    def drop(self, one: attachment.Attachment) -> None:
        """Drop a row, and have its device freed after the next ``save``."""
        self._all.remove(one)
        if one.instance_uuid is not None:
            self._to_free.add((one.instance_uuid, one.claim_id))

    def held(self) -> list[attachment.Attachment]:
        """Return the rows of devices that instances have."""
        return [one for one in self._all if not one.is_released]

    def of(
        self, instance_uuid: str, allocated: bool | None = None
    ) -> list[attachment.Attachment]:
        """Return what an instance has.

        :param allocated: only allocations, only claims; None: both.
        """
        return [
            one
            for one in self.held()
            if one.instance_uuid == instance_uuid
            and allocated in (None, one.is_allocated)
        ]

    def at(self, address: str) -> attachment.Attachment | None:
        """Return the row for a device; None if there is none."""
        for one in self._all:
            if one.address == address:
                return one
        return None

    def new_claim_id(self, instance_uuid: str, request_id: str) -> str:
        """Return an id for a claim that no allocation of the instance has."""
        taken = {one.claim_id for one in self.of(instance_uuid, True)}
        numbered = (
            attachment.claim_number(request_id, number)
            for number in itertools.count(1)
        )
        return next(claim for claim in numbered if claim not in taken)

    def save(self, context: Any) -> None:
        """Write the rows, then tell the conductor what changed.

        What cannot be told is mended by the periodic task.
        """
        released = [one for one in self._all if one.is_released]
        for one in released:
            one.save(context)
        # Before the others: one of them may be for the same device.
        for one in released:
            one.delete(context)
            self.drop(one)
        for one in self._all:
            one.save(context)
        self._tell_freed()
        self._tell_allocated()

    def _tell_freed(self) -> None:
        kept = {(one.instance_uuid, one.claim_id) for one in self._all}
        freed = _by_instance(self._to_free - kept)
        self._to_free.clear()
        for instance_uuid, claims in freed.items():
            self._devices.free(instance_uuid, claims)

    def _tell_allocated(self) -> None:
        new = [o for o in self._all if o.is_allocated and not o.is_told]
        claims = _by_instance({(o.instance_uuid, o.claim_id) for o in new})
        for instance_uuid, claim_ids in claims.items():
            self._devices.allocate(instance_uuid, claim_ids)
        for one in new:
            one.is_told = True


def _by_instance(pairs: set[tuple[str | None, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for instance_uuid, claim in sorted((str(i), c) for i, c in pairs):
        found.setdefault(instance_uuid, []).append(claim)
    return found
