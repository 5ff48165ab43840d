# SPDX-License-Identifier: Apache-2.0
"""The preparation of devices by handlers, between two instances.

An agent asks for its preparations, asks before each step that changes a
device, and reports the end. Each attempt has a fence, which the agent names.
The fence is the revision of the host in the transaction that began the
attempt, so it only grows, and no fence of a device is ever used again.
"""

from collections.abc import Mapping
import datetime
import functools
from typing import Any

import sqlalchemy as sa

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.objects import fields
from pci_passthrough.reporting import preparation
from pci_passthrough.store import database
from pci_passthrough.store import exclusion
from pci_passthrough.store import hosts
from pci_passthrough.store import ledger
from pci_passthrough.store import models
from pci_passthrough.store.devices import lookup
from pci_passthrough.store.devices import removal
from pci_passthrough.store.devices import withheld

_devices = models.pci_devices


class Fence:
    """The fence of the attempts that begin in one transaction.

    It is read only if an attempt begins: most devices have no handlers.

    :param node_id: of a host that the caller has locked.
    """

    def __init__(self, connection: sa.Connection, node_id: int) -> None:
        self._connection = connection
        self._node_id = node_id

    def added_to(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return changes of a device, with the fence if an attempt begins.

        :param values: of ``reporting.preparation``.
        """
        if values.get('status') != fields.DeviceStatus.CLEANING:
            return dict(values)
        fenced = {**values, 'preparation': self._number}
        if values['preparation_attempt'] == 1:
            fenced['preparation_since'] = self._at
        return fenced

    @functools.cached_property
    def _number(self) -> int:
        return hosts.new_fence(self._connection, self._node_id)

    @functools.cached_property
    def _at(self) -> datetime.datetime:
        return database.now()


@database.retried
def due(db: database.Reader, host: str) -> list[objects.Preparation]:
    """Return the devices of a host that its agent has to prepare now.

    Physical functions come before virtual ones, else the longest waiting
    device is the first.
    """
    if not database.is_storable(host):
        return []
    nodes = models.compute_nodes
    with db.read() as connection:
        devices = lookup.select(
            connection, nodes.c.host == host, _can_be_prepared()
        )
    devices.sort(
        key=lambda device: (
            device.parent_addr is not None,
            device.preparation_since,
            device.address,
        )
    )
    return [
        objects.Preparation(
            address=device.address,
            fence=device.preparation,
            step=device.preparation_step,
            handlers=device.handlers,
            on_failure=device.on_failure or fields.OnFailure.QUARANTINE,
            attempt=device.preparation_attempt,
        )
        for device in devices
        # Nothing would be done, and the device would be taken for clean.
        if device.handlers
    ]


def _can_be_prepared() -> sa.ColumnElement[bool]:
    """Return the condition that the agent may work on a device now.

    Not on a disabled one: it may be the hardware of another device, with the
    data of its instance, or an operator looks at it.
    """
    return sa.and_(
        _devices.c.status == fields.DeviceStatus.CLEANING,
        _devices.c.preparation.is_not(None),
        _devices.c.presence == fields.Presence.OFFERED,
        _devices.c.disabled_reason.is_(None),
        _devices.c.conflict.is_(None),
        exclusion.disturbs_nobody(_devices),
    )


@database.retried
def may_prepare(
    db: database.Writer, host: str, address: str, fence: int
) -> bool:
    """Return whether the agent may change a device now.

    True is recorded under the host's lock as ``preparation_running``. As long
    as it is, no report makes the device available, nor does an operator
    without a reason, nor with one before the agent has been silent for some
    minutes. It ends when ``prepared`` is called with this fence.

    :returns: False if the fence is that of an earlier attempt, the device is
        not due or does not exist, or a reset would reach an instance.
    """
    with db.write() as connection:
        try:
            node_id = hosts.lock(connection, host)
        except exception.HostNotFound:
            return False
        allowed = connection.execute(
            sa.select(_devices.c.id).where(
                _devices.c.compute_node_id == node_id,
                _devices.c.uuid == lookup.uuid_of(host, address),
                _devices.c.preparation == fence,
                _can_be_prepared(),
            )
        ).scalar_one_or_none()
        if allowed is None:
            return False
        connection.execute(
            _devices.update()
            .where(_devices.c.id == allowed)
            .values(preparation_running=fence)
        )
        return True


@database.retried
def progress(
    db: database.Writer,
    host: str,
    address: str,
    fence: int,
    percent: int | None,
    text: str,
) -> None:
    """Record the progress of an attempt; an older attempt changes nothing."""
    if percent is not None:
        percent = min(max(percent, 0), 100)
    with db.write() as connection:
        connection.execute(
            _devices.update()
            .where(
                _devices.c.uuid == lookup.uuid_of(host, address),
                _devices.c.status == fields.DeviceStatus.CLEANING,
                _devices.c.preparation == fence,
            )
            .values(
                preparation_percent=percent,
                preparation_text=objects.recordable.output_line(text) or None,
            )
        )


@database.retried
def prepared(
    db: database.Writer,
    bounds: preparation.Bounds,
    host: str,
    address: str,
    fence: int,
    succeeded: bool,
    output: str,
) -> str:
    """Record the end of an attempt.

    The end of an older attempt, or of one that was reported already, changes
    nothing but that the agent is no longer at work on it.

    :param bounds: how often the handlers may fail.
    :param output: what the handlers have said; its end is kept.
    :returns: the device's status now.
    :raises: PciDeviceNotFound, HostNotFound
    """
    name = f'{host}/{address}'
    output = objects.recordable.output_line(output)
    actor = f'agent@{host}'
    with db.write() as connection:
        node_id = hosts.lock(connection, host)
        before = lookup.find(connection, name)
        values = preparation.ended(before, fence, succeeded, output, bounds)
        if not values:
            return str(before.status)
        values = Fence(connection, node_id).added_to(values)
        after = before.replace(**values)
        write(connection, before, values)
        if 'status' not in values:
            # It was an older attempt, or an operator was faster.
            return str(after.status)
        ledger.append(
            connection,
            [
                ledger.entry(
                    before,
                    'prepared' if succeeded else 'not-prepared',
                    actor,
                    after.state,
                    output or None,
                )
            ],
        )
        if after.status == fields.DeviceStatus.AVAILABLE:
            removal.remove_unoffered(connection, [after], actor)
            withheld.renew(connection, node_id, actor)
            hosts.ask_for_report(connection, node_id)
        return str(after.status)


def write(
    connection: sa.Connection,
    device: objects.PciDevice,
    values: Mapping[str, Any],
) -> None:
    """Write changes of a device's preparation, under the host's lock."""
    connection.execute(
        _devices.update()
        .where(_devices.c.uuid == device.uuid)
        .values(updated_at=database.now(), **values)
    )
