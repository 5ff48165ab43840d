# SPDX-License-Identifier: Apache-2.0
"""Plans repairs when Nova's pci_devices rows and our claims disagree.

Pure: both views of one host go in, a plan comes out, and ``repair`` carries
it out. Nova's row and the conductor's claim are written one after the other,
and nova-compute or a conductor may end in between. So nova-compute compares
them at its start and in each run of its periodic task. The comparison also
finds devices of running instances that change from ``[pci] device_spec`` to
pci_information, or back.
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
    """Nova's view of a device that an instance of the host has.

    A device that is no PCI function has no row; nova-compute remembers it.

    :ivar claim_id: the conductor's id of the request.
    :ivar request_id: Nova's id of the request; None in very old rows.
    :ivar is_attachment: the row is an attachment (see ``attachment``), not a
        native one.
    :ivar in_device_spec: ``[pci] device_spec`` matches the device.
    :ivar is_rowless: an attachment without a row (see ``rowless``).
    """

    address: str
    instance_uuid: str
    claim_id: str
    request_id: str | None
    is_allocated: bool
    is_attachment: bool
    in_device_spec: bool = False
    is_rowless: bool = False
    #: vendor and product id
    kind: tuple[str | None, str | None] = (None, None)


@dataclasses.dataclass(frozen=True)
class Plan:
    """The repairs of one host.

    :ivar free: claims without a row: nova-compute ended before it wrote the
        row, or after it had deleted the row.
    :ivar allocate: claims that Nova's rows show as allocated.
    :ivar adopt: attachments whose device is not held, or by another claim.
    :ivar take_over: native rows to turn into attachments: pci_information
        offers the device now, and ``[pci] device_spec`` does not match it any
        more.
    :ivar hand_back: attachments to turn into native rows: ``[pci]
        device_spec`` matches the device again, and pci_information does not
        offer it any more.
    :ivar restore: held devices without a row, of claims that have rows for
        their other devices.
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
    """Compare Nova's view of held devices with ours; return the repairs.

    :param held: the held devices of the host, as the conductor knows them.
    :param rows: Nova's rows of held devices, native ones and attachments.
    :param offered: addresses of the devices that pci_information offers.
        None means not known: then no row becomes native or an attachment
        because of it.
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
        if row.is_attachment
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
            if row.is_attachment and row not in agreed and row not in hand_back
        ],
        take_over=_to_take_over(held, rows, offered),
        hand_back=hand_back,
        restore=restore,
    )


def untold(
    held: Iterable[objects.PciDevice],
    rows: Iterable[Row],
    projects: Mapping[str, str],
) -> list[objects.PciDevice]:
    """Return held devices of which the conductor lacks the right project.

    :param held: the held devices of the host, as the conductor knows them; a
        conductor of an earlier release knows no projects.
    :param rows: Nova's rows of held devices, after all other repairs.
    :param projects: instances of the host to their projects.
    """
    attached = {
        (row.instance_uuid, row.claim_id, row.address)
        for row in rows
        if row.is_attachment and row.is_allocated
    }
    return [
        device
        for device in held
        if (device.instance_uuid, device.request_id, device.address)
        in attached
        and device.status == fields.DeviceStatus.ALLOCATED
        and device.obj_attr_is_set('project_id')
        and projects.get(str(device.instance_uuid))
        not in (None, device.project_id)
    ]


def moved(
    held: Sequence[objects.PciDevice], rows: Sequence[Row]
) -> list[tuple[Row, objects.PciDevice]]:
    """Return the attachments whose device is at another address now.

    The conductor has moved its record there. Which of several alike devices
    of one claim is where makes no difference to the instance.

    :param held: the held devices of the host, as the conductor knows them.
    :param rows: Nova's rows of held devices, native ones and attachments.
    :returns: each with the device at its new address.
    """
    claims = {row.address: (row.instance_uuid, row.claim_id) for row in rows}
    holders = {
        device.address: (device.instance_uuid, device.request_id)
        for device in held
    }
    unrecorded = collections.defaultdict(list)
    for device in sorted(held, key=lambda device: str(device.address)):
        claim = holders[device.address]
        if claims.get(device.address) != claim:
            kind = device.get('vendor_id'), device.get('product_id')
            unrecorded[claim, kind].append(device)
    moves = []
    for row in sorted(rows, key=lambda row: row.address):
        claim = row.instance_uuid, row.claim_id
        if row.is_attachment and holders.get(row.address) != claim:
            devices = unrecorded[claim, row.kind]
            if devices:
                moves.append((row, devices.pop(0)))
    return moves


def ended(
    rows: Iterable[Row],
    known: Collection[str],
    wanted: Mapping[str, Collection[str]],
) -> list[Row]:
    """Return attachments whose instance does not have the device any more.

    :param known: UUIDs of the instances on the host, and of those that are
        moving to it or from it.
    :param wanted: UUIDs of instances that are not moving, with the ids of all
        their requests. An interrupted confirmation or reversion of a resize
        within the host leaves devices of other requests.
    """
    rows = [row for row in rows if row.is_attachment]
    # If no row has an id that the instance requests, its request ids have
    # changed, and say nothing about the devices.
    conclusive = {
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
            and row.instance_uuid in conclusive
            and row.request_id not in wanted[row.instance_uuid]
        )
    ]


def unwanted(
    rows: Iterable[Row], wanted: Mapping[str, Collection[str]]
) -> list[Row]:
    """Return devices without rows that their instance does not request.

    A claim whose answer was lost leaves such a device. If it has rows, their
    absence tells.

    :param wanted: UUIDs of the instances on the host that have devices
        without rows, with the ids of all their requests, also of those before
        and after a move that is under way.
    """
    return [
        row
        for row in rows
        if row.is_rowless
        and row.request_id
        not in wanted.get(row.instance_uuid, (row.request_id,))
    ]


@dataclasses.dataclass(frozen=True, slots=True)
class FailedMove:
    """A move of an instance that ended in an error; Nova keeps its record.

    :ivar id: Nova's id of the migration.
    """

    id: int
    source: str | None
    dest: str | None
    is_live: bool


def has_left(
    host: str,
    at: str | None,
    is_broken: bool,
    migration_id: int | None,
    failed: Collection[FailedMove],
) -> bool:
    """Whether an instance that is not on this host has no device here.

    Nova keeps the devices of a move that has failed for ever, and cannot
    restart the guest meanwhile.

    :param host: this host.
    :param at: the host that the instance is on, if any.
    :param is_broken: the instance is in ERROR.
    :param migration_id: the migration of the instance's migration context.
    :param failed: its failed moves from and to this host; no other move of
        the instance is going on.
    """
    if at == host:
        return False
    if not failed:
        return True
    of_context = [move for move in failed if move.id == migration_id]
    # A live migration is never resumed, and an instance that is still on the
    # source of a resize does not go on to its destination. Where an instance
    # is that was lost on its destination, an operator has to decide.
    return not is_broken or all(
        move.is_live or (move.dest == host and move.source == at)
        for move in of_context
    )


def _to_take_over(
    held: Sequence[objects.PciDevice],
    rows: Sequence[Row],
    offered: Collection[str] | None,
) -> list[Row]:
    """Return the native rows to turn into attachments."""
    holders = {device.address: device.instance_uuid for device in held}
    return [
        row
        for row in rows
        if not row.is_attachment
        and not row.in_device_spec
        and (
            row.address in (offered or ())
            or holders.get(row.address) == row.instance_uuid
        )
    ]


def _to_hand_back(
    rows: Sequence[Row], offered: Collection[str] | None
) -> list[Row]:
    """Return the attachments to turn into native rows.

    Only if that is so for all devices of a claim.
    """
    if offered is None:
        return []
    going = [
        row
        for row in rows
        if row.is_attachment
        and row.in_device_spec
        and row.address not in offered
    ]
    staying = {
        (row.instance_uuid, row.claim_id)
        for row in rows
        if row.is_attachment and row not in going
    }
    return [
        row
        for row in going
        if (row.instance_uuid, row.claim_id) not in staying
    ]


def _without_row(
    held: Sequence[objects.PciDevice],
    by_address: Mapping[str, Row],
    offered: Collection[str] | None,
) -> tuple[Claims, list[objects.PciDevice]]:
    """Return the claims to free, and the devices whose row to restore."""
    recorded = {
        (row.instance_uuid, row.claim_id)
        for row in by_address.values()
        if row.is_attachment
    }
    free: Claims = collections.defaultdict(set)
    restore = []
    for device in held:
        row = by_address.get(device.address)
        instance, claim = str(device.instance_uuid), str(device.request_id)
        if _is_recorded(device, by_address):
            # The row was handed back, and the conductor's claim remained.
            if row and not row.is_attachment and row.in_device_spec:
                if offered is not None and device.address not in offered:
                    free[instance].add(claim)
        elif row or (instance, claim) not in recorded:
            # Other devices of the claim are adopted by the next comparison.
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
