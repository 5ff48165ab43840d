# SPDX-License-Identifier: Apache-2.0
"""The audit: what instances hold, compared with the servers that Nova has."""

from collections.abc import Collection
from collections.abc import Iterator
from typing import Protocol

from oslo_log import log as logging

from pci_passthrough import audit
from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough import store
from pci_passthrough.objects import lifecycle
from pci_passthrough.reporting import preparation
from pci_passthrough.store.claims import transitions
from pci_passthrough.store.devices import lookup

LOG = logging.getLogger(__name__)


class Servers(Protocol):
    """Nova, as ``nova_api.Servers`` asks it."""

    def all(self, host: str | None = None) -> dict[str, audit.Server]:
        """Return the servers by UUID."""

    def get(self, uuid: str) -> audit.Server | None:
        """Return a server."""


class Audit:
    """Finds differences, and mends those that are safe to mend.

    :param db: the database.
    :param servers: asks Nova.
    :param bounds: how often guests may fail to start with a device.
    """

    def __init__(
        self, db: store.Writer, servers: Servers, bounds: preparation.Bounds
    ) -> None:
        self._db = db
        self._servers = servers
        self._bounds = bounds

    def differences(self, host: str | None = None) -> list[audit.Difference]:
        """Return what differs now, and still does when looked at again.

        :param host: only devices and instances of this host.
        :raises: NovaUnavailable, and the database's errors.
        """
        first = set(self._look(host))
        suspects = {difference.instance for difference in first}
        second = set(self._look_at(suspects))
        return sorted(
            first & second, key=lambda d: (d.host, d.instance, d.address)
        )

    def fix(self, difference: audit.Difference, actor: str) -> bool:
        """Mend a difference if that is safe; return whether it is mended.

        :param actor: for the ledger.
        :raises: NovaUnavailable, also if this seems to be the wrong Nova, and
            the database's errors.
        """
        if (
            not difference.kind.is_safe_to_fix
            or difference not in self._look_at([difference.instance])
        ):
            return False
        self._check_right_nova()
        freed = transitions.free(
            self._db,
            difference.instance,
            actor,
            difference.host,
            bounds=self._bounds,
        )
        for device in freed:
            LOG.warning(
                'Freed %s of %s: Nova has no instance %s',
                device.address,
                device.host,
                difference.instance,
            )
        return bool(freed)

    def _check_right_nova(self) -> None:
        """Check that Nova knows some instance that holds devices.

        The Nova of another region has servers, too, and none of ours: all
        running guests would lose their devices.

        :raises: NovaUnavailable
        """
        holders = sorted({str(d.instance_uuid) for d in self._held(None)})
        if not any(map(self._servers.get, holders)):
            raise exception.NovaUnavailable(
                f'Nova knows none of the {len(holders)} instances that hold '
                'devices: probably it is the Nova of another region, see '
                '[nova] region_name. Nothing is freed. If the instances are '
                'really gone: pci-passthrough-manage free'
            )

    def _look(self, host: str | None) -> Iterator[audit.Difference]:
        """Look at everything, or at all of a host."""
        # Devices first: a server of which Nova knows later is no difference.
        devices = self._held(host)
        servers: dict[str, audit.Server | None] = {**self._servers.all(host)}
        for device in devices:
            uuid = str(device.instance_uuid)
            if uuid not in servers:
                servers[uuid] = self._servers.get(uuid)
        for difference in audit.compare(devices, servers):
            if host is None or difference.host == host:
                yield difference

    def _look_at(
        self, instances: Collection[str]
    ) -> Iterator[audit.Difference]:
        """Look again at some instances, on whatever host."""
        servers = {uuid: self._servers.get(uuid) for uuid in instances}
        devices = [
            device
            for uuid in instances
            for device in lookup.get_all(self._db, instance_uuid=uuid)
            if device.status in lifecycle.OWNED
        ]
        return audit.compare(devices, servers)

    def _held(self, host: str | None) -> list[objects.PciDevice]:
        return [
            device
            for device in lookup.get_all(self._db, host)
            if device.status in lifecycle.OWNED
            and device.instance_uuid is not None
        ]
