# SPDX-License-Identifier: Apache-2.0
"""What to mend when Nova's rows and this project's devices differ.

Pure: what is known goes in, a plan comes out; the tracker carries it out.
Both sides are written one after the other, and nova-compute or a conductor
may end between the two. So they are compared at each start of nova-compute
and at each run of its periodic task. The same comparison finds instances
that have devices from the time before, or after, this project had the host.
"""

import collections
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses

from pci_passthrough import objects
from pci_passthrough.objects import fields

#: Instance UUID to ids of its claims.
Claims = dict[str, set[str]]


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """A device which an instance of the host has, as Nova's row says.

    :ivar claim_id: the request, as this project knows it.
    :ivar request_id: the request, as Nova knows it; None in very old rows.
    :ivar is_ours: the row is a mere record of a device of this project.
    :ivar in_device_spec: ``[pci] device_spec`` matches the device.
    """

    address: str
    instance_uuid: str
    claim_id: str
    request_id: str | None
    is_allocated: bool
    is_ours: bool
    in_device_spec: bool = False


@dataclasses.dataclass(frozen=True)
class Plan:
    """What to do, in the order of the fields.

    :ivar free: claims that no row is for: nova-compute ended before it wrote
        one, or after it had deleted it.
    :ivar allocate: claims whose instances have them for good.
    :ivar adopt: rows of ours whose device is not held, or by another claim.
    :ivar take_over: Nova's rows that become ours: the device is offered by
        this project now and matches ``[pci] device_spec`` no longer.
    :ivar hand_back: the other way round.
    :ivar restore: devices whose row is missing while others of the same
        claim have theirs.
    """

    free: Claims
    allocate: Claims
    adopt: Sequence[Row]
    take_over: Sequence[Row]
    hand_back: Sequence[Row]
    restore: Sequence[objects.PciDevice]


def decide(
    held: Sequence[objects.PciDevice],
    rows: Sequence[Row],
    offered: Collection[str] | None,
) -> Plan:
    """Compare what a host's instances have by either side.

    :param held: the host's devices that are held, as this project has it.
    :param rows: Nova's, of devices that instances have; both kinds.
    :param offered: addresses of what this project offers there; None if that
        is not known, and no row changes its kind then.
    """
    holders = {
        device.address: (device.instance_uuid, device.request_id)
        for device in held
    }
    by_address = {row.address: row for row in rows}
    hand_back = _to_hand_back(rows, offered)
    free, restore = _without_row(held, by_address, offered)
    agreed = [
        row
        for row in rows
        if row.is_ours
        and holders.get(row.address) == (row.instance_uuid, row.claim_id)
        and row not in hand_back
    ]
    claimed = {
        device.address
        for device in held
        if device.status == fields.DeviceStatus.CLAIMED
    }
    return Plan(
        free=free,
        allocate=_by_instance(
            row
            for row in agreed
            if row.is_allocated
            and row.address in claimed
            and row.claim_id not in free.get(row.instance_uuid, ())
        ),
        adopt=[
            row
            for row in rows
            if row.is_ours and row not in agreed and row not in hand_back
        ],
        take_over=[
            row
            for row in rows
            if not row.is_ours
            and not row.in_device_spec
            and (
                row.address in (offered or ())
                or holders.get(row.address, ('',))[0] == row.instance_uuid
            )
        ],
        hand_back=hand_back,
        restore=restore,
    )


def ended(
    rows: Iterable[Row],
    known: Collection[str],
    wanted: Mapping[str, Collection[str]],
) -> list[Row]:
    """Return rows of ours whose instance does not have the device any more.

    :param known: UUIDs of the instances that are on the host, or on their
        way there or from there.
    :param wanted: instances that are not on their way to ids of all their
        requests. A resize within the host that was interrupted while it was
        confirmed or reverted leaves devices of other requests.
    """
    rows = [row for row in rows if row.is_ours]
    # Whose ids are all unknown has got others, in a way not known here.
    tell = {
        row.instance_uuid
        for row in rows
        if row.request_id in wanted.get(row.instance_uuid, ())
    } | {uuid for uuid, requests in wanted.items() if not requests}
    return [
        row
        for row in rows
        if row.instance_uuid not in known
        or (
            row.is_allocated
            and row.request_id is not None
            and row.instance_uuid in tell
            and row.request_id not in wanted[row.instance_uuid]
        )
    ]


def _to_hand_back(
    rows: Sequence[Row], offered: Collection[str] | None
) -> list[Row]:
    """Return the rows that become Nova's; a claim goes as a whole."""
    if offered is None:
        return []
    going = [
        row
        for row in rows
        if row.is_ours and row.in_device_spec and row.address not in offered
    ]
    staying = {
        (row.instance_uuid, row.claim_id)
        for row in rows
        if row.is_ours and row not in going
    }
    return [r for r in going if (r.instance_uuid, r.claim_id) not in staying]


def _without_row(
    held: Sequence[objects.PciDevice],
    by_address: Mapping[str, Row],
    offered: Collection[str] | None,
) -> tuple[Claims, list[objects.PciDevice]]:
    """Return the claims to free, and the devices that get a row anew."""
    recorded = {
        (row.instance_uuid, row.claim_id)
        for row in by_address.values()
        if row.is_ours
    }
    free: Claims = collections.defaultdict(set)
    restore = []
    for device in held:
        row = by_address.get(device.address)
        instance, claim = str(device.instance_uuid), str(device.request_id)
        if _is_recorded(device, by_address):
            # Its row was handed back; that it is free had to be told, too.
            if row and not row.is_ours and row.in_device_spec:
                if offered is not None and device.address not in offered:
                    free[instance].add(claim)
        elif row or (instance, claim) not in recorded:
            # If the claim has other devices, they are adopted next time.
            free[instance].add(claim)
        else:
            restore.append(device)
    return dict(free), [
        device
        for device in restore
        if device.request_id not in free.get(str(device.instance_uuid), ())
    ]


def _is_recorded(
    device: objects.PciDevice, by_address: Mapping[str, Row]
) -> bool:
    row = by_address.get(device.address)
    return row is not None and row.instance_uuid == device.instance_uuid


def _by_instance(rows: Iterable[Row]) -> Claims:
    claims: Claims = collections.defaultdict(set)
    for row in rows:
        claims[row.instance_uuid].add(row.claim_id)
    return dict(claims)
