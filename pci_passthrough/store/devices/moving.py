# SPDX-License-Identifier: Apache-2.0
"""Moving the records of devices to other addresses of their host.

The UUID of a device is that of its place: host and address. A record that
moves gets the UUID of the new address, and both histories tell of it.
"""

from collections.abc import Iterable
import dataclasses
from typing import Any

import sqlalchemy as sa

from pci_passthrough import objects
from pci_passthrough.store import database
from pci_passthrough.store import ledger
from pci_passthrough.store import models
from pci_passthrough.store import pool_keys
from pci_passthrough.store.devices import lookup

_devices = models.pci_devices


@dataclasses.dataclass(frozen=True, slots=True)
class Move:
    """A record before and after its move; ``after`` has the new UUID."""

    before: objects.PciDevice
    after: objects.PciDevice


def moved(before: objects.PciDevice, **values: Any) -> objects.PciDevice:
    """Return a device after its move.

    :param values: the fields that change, ``address`` among them.
    """
    uuid = lookup.uuid_of(before.host, values['address'])
    return before.replace(uuid=uuid, **values)


def insert(
    connection: sa.Connection,
    node_id: int,
    devices: Iterable[objects.PciDevice],
) -> None:
    """Insert the rows of devices at their new addresses.

    The rows at the old addresses have been deleted: no order of updates would
    do for two devices that change places.
    """
    devices = list(devices)
    ids = pool_keys.ensure(connection, set(map(objects.PoolKey.of, devices)))
    at = database.now()
    rows = [
        {
            'compute_node_id': node_id,
            'pool_key_id': ids[objects.PoolKey.of(device)],
            **{name: device.get(name) for name in lookup.COLUMNS},
            'dev_type': device.dev_type or '',
            'updated_at': at,
        }
        for device in devices
    ]
    if rows:
        connection.execute(_devices.insert(), rows)


def events(
    move: Move, action: str, actor: str, reason: str | None
) -> list[dict[str, Any]]:
    """Return the ledger's rows of a move: one at each address.

    :param reason: why, in addition to the addresses.
    """
    why = [] if reason is None else [reason]
    to, origin = move.after.address, move.before.address
    departure = '; '.join([f'the device moved to {to}', *why])
    arrival = '; '.join([f'the device moved here from {origin}', *why])
    state = move.after.state
    return [
        ledger.entry(move.before, action, actor, None, departure),
        ledger.entry(move.after, action, actor, state, arrival)
        | {'from_state': move.before.state},
    ]
