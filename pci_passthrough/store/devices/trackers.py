# SPDX-License-Identifier: Apache-2.0
"""Resource trackers: which nova-compute takes requests of ours.

One without this project's part would silently drop them when an instance
moves, so the scheduler is offered only hosts whose tracker has registered
recently.
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
    """Note that a host's resource tracker is there; return what is held.

    Of a host whose agent has never reported nothing is noted.

    :param version: of this project in the host's nova-compute.
    :raises: Invalid if the version cannot be kept.
    """
    if not 1 <= len(version) <= _LONGEST_VERSION or not version.isprintable():
        raise exception.Invalid(
            f'the version of a tracker is one line of up to '
            f'{_LONGEST_VERSION} printable characters, not {version!r}'
        )
    if not database.could_be_kept(host):
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
    """Return a host's devices that are offered or held, by address."""
    if not database.could_be_kept(host):
        return []
    with db.read() as connection:
        return lookup.select(
            connection,
            _nodes.c.host == host,
            (_devices.c.presence == fields.Presence.OFFERED)
            | _devices.c.status.in_(lifecycle.OWNED),
        )
