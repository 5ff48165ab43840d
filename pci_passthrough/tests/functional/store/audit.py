# SPDX-License-Identifier: Apache-2.0
"""Finding devices that two instances hold, or held at any time."""

import collections
from typing import Any

import sqlalchemy as sa

from pci_passthrough import objects
from pci_passthrough import store
from pci_passthrough.objects import fields
from pci_passthrough.objects import lifecycle
from pci_passthrough.store import models
from pci_passthrough.store.devices import lookup

_events = models.pci_device_events


def violations(db: store.Writer) -> list[str]:
    """Return all violations of the rules, as sentences."""
    return [*_rows(db), *_ledger(db), *transitions(db)]


def unclean(db: store.Writer) -> list[str]:
    """Return claims of devices that nobody has prepared, as sentences.

    All devices have handlers. An operator who releases a device answers for
    it; a device that was prepared when it was quarantined still is.
    """
    dirty: set[str] = set()
    wrong = []
    for line in _lines(db):
        if line.action in ('appear', 'free', 'abort', 'clean'):
            dirty.add(line.device_uuid)
        elif line.action in ('prepared', 'release'):
            dirty.discard(line.device_uuid)
        elif line.action == 'claim' and line.device_uuid in dirty:
            wrong.append(f'{line.host}/{line.address} was claimed unclean')
    return wrong


def actions(db: store.Writer) -> set[str]:
    """Return the actions that the ledger has."""
    return {str(line.action) for line in _lines(db)}


def transitions(db: store.Writer) -> list[str]:
    """Return changes that ``lifecycle.TRANSITIONS`` does not have.

    Where another state hides the status, there is nothing to compare.
    """
    wrong = []
    for line in _lines(db):
        transition = lifecycle.TRANSITIONS.get(line.action)
        if transition is None:
            continue
        for state, statuses in (
            (line.from_state, transition.sources),
            (line.to_state, transition.targets),
        ):
            if state in fields.DeviceStatus.ALL and state not in statuses:
                wrong.append(f'{line.action}: {state} is not in {statuses}')
    return wrong


def _rows(db: store.Writer) -> list[str]:
    devices = lookup.get_all(db)
    held = {(d.host, d.address) for d in devices if d.instance_uuid}
    wrong = [
        f'{d.host}/{d.address} and its physical function are both held'
        for d in devices
        if d.instance_uuid and (d.host, d.parent_addr) in held
    ]
    wrong += [
        f'{d.host}/{d.address} is {d.status}, owner {d.instance_uuid}'
        for d in devices
        if (d.status in ('claimed', 'allocated')) != bool(d.instance_uuid)
    ]
    return wrong


def _ledger(db: store.Writer) -> list[str]:
    """Return devices whose events contradict each other or the row."""
    owners: dict[str, str] = {}
    held: dict[str, set[str]] = collections.defaultdict(set)
    devices = {d.uuid: d for d in lookup.get_all(db)}
    wrong = []
    for line in _lines(db):
        name = f'{line.host}/{line.address}'
        if line.action == 'adopt' and (
            owners.get(line.device_uuid) == line.instance_uuid
        ):
            continue
        if line.action in ('claim', 'adopt'):
            if line.device_uuid in owners:
                wrong.append(f'{name} was claimed twice')
            for other in held[line.host] - {line.device_uuid}:
                wrong += _beside(
                    line,
                    devices.get(line.device_uuid),
                    devices.get(other),
                    owners[other],
                )
            owners[line.device_uuid] = line.instance_uuid
            held[line.host].add(line.device_uuid)
        elif line.action in ('free', 'abort', 'forget'):
            if owners.pop(line.device_uuid, None) != line.instance_uuid:
                wrong.append(f'{name} was freed for no holder')
            held[line.host].discard(line.device_uuid)
    now = {
        d.uuid: d.instance_uuid for d in devices.values() if d.instance_uuid
    }
    if owners != now:
        wrong.append('the ledger names other owners than the rows')
    return wrong


def _beside(
    line: sa.Row[Any],
    device: objects.PciDevice | None,
    other: objects.PciDevice | None,
    owner: str,
) -> list[str]:
    """Return what is wrong about getting a device beside another.

    :param line: the event by which an instance got it.
    :param device: None if it was forgotten with its host, like ``other``.
    :param owner: the instance that held the other device then.
    """
    name = f'{line.host}/{line.address}'
    wrong: list[str] = []
    if device is None or other is None:
        return wrong
    if _are_related(device, other):
        wrong.append(f'{name} was claimed beside a related function')
    # An adoption records what is so already.
    is_claim = line.action == 'claim'
    if is_claim and owner != line.instance_uuid and _share(device, other):
        wrong.append(
            f"{name} was claimed beside another instance's device of its "
            'IOMMU group'
        )
    return wrong


def _lines(db: store.Writer) -> list[sa.Row[Any]]:
    with db.read() as connection:
        statement = _events.select().order_by(_events.c.id)
        return list(connection.execute(statement))


def _share(device: objects.PciDevice, other: objects.PciDevice) -> bool:
    return (
        device.iommu_group is not None
        and device.iommu_group == other.iommu_group
    )


def _are_related(device: objects.PciDevice, other: objects.PciDevice) -> bool:
    return bool(
        device.address == other.parent_addr
        or other.address == device.parent_addr
    )
