# SPDX-License-Identifier: Apache-2.0
"""Registration of the resource trackers in nova-compute.

The scheduler considers only hosts whose resource tracker has registered
recently. A nova-compute without this project would ignore requests for PCI
flavors when an instance moves to its host.
"""

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.objects import fields
from pci_passthrough.objects import lifecycle
from pci_passthrough.store import database
from pci_passthrough.store import models
from pci_passthrough.store.devices import lookup

_nodes = models.compute_nodes
_devices = models.pci_devices

_LONGEST_VERSION = 64


@database.retried
def register(
    db: database.Writer, host: str, version: str
) -> objects.TrackerAck:
    """Register a host's resource tracker; return the host's held devices.

    Nothing is recorded about a host whose agent has never reported.

    :param version: version of this project in the host's nova-compute.
    :raises: Invalid if the version cannot be stored.
    """
    if not version or not objects.recordable.is_line(
        version, _LONGEST_VERSION
    ):
        raise exception.Invalid(
            f'the version of a tracker is one line of up to '
            f'{_LONGEST_VERSION} printable characters, not {version!r}'
        )
    if not database.is_storable(host):
        return objects.TrackerAck(generation=None, held=[])
    with db.write() as connection:
        connection.execute(
            _nodes.update()
            .where(_nodes.c.host == host)
            .values(tracker_version=version, tracker_seen_at=database.now())
        )
        generation = connection.execute(
            _nodes.select()
            .with_only_columns(_nodes.c.generation)
            .where(_nodes.c.host == host)
        ).scalar_one_or_none()
        held = lookup.select(
            connection,
            _nodes.c.host == host,
            _devices.c.status.in_(lifecycle.OWNED),
        )
    return objects.TrackerAck(generation=generation, held=held)


@database.retried
def devices_of(db: database.Reader, host: str) -> list[objects.PciDevice]:
    """Return a host's offered or held devices, sorted by address."""
    if not database.is_storable(host):
        return []
    with db.read() as connection:
        return lookup.select(
            connection,
            _nodes.c.host == host,
            (_devices.c.presence == fields.Presence.OFFERED)
            | _devices.c.status.in_(lifecycle.OWNED),
        )
