# SPDX-License-Identifier: Apache-2.0
"""Compares the devices that instances hold with the servers that Nova has.

Both change while they are compared, so what differs at one look is only a
suspicion: ``services.auditing`` looks a second time.
"""

import collections
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
import enum
from typing import Final

from pci_passthrough import objects
from pci_passthrough.objects import fields

#: States of servers in which Nova moves them, makes them, or says nothing: on
#: which hosts they hold devices then is not told by their host alone.
_UNSETTLED: Final = frozenset(
    {
        'BUILD',
        'MIGRATING',
        'REBUILD',
        'RESIZE',
        'REVERT_RESIZE',
        'UNKNOWN',
        'VERIFY_RESIZE',
    }
)

#: States in which a server has a guest, or can have one without a new claim.
_WITH_DEVICES: Final = frozenset(
    {
        'ACTIVE',
        'HARD_REBOOT',
        'PAUSED',
        'REBOOT',
        'RESCUE',
        'SHELVED',
        'SHUTOFF',
        'SUSPENDED',
    }
)


@dataclasses.dataclass(frozen=True)
class Server:
    """What Nova says of a server.

    :ivar status: as in Nova's REST API, for example ``ACTIVE``.
    :ivar host: the host that it is on; None if it is on none.
    :ivar task: what Nova is doing with it; None if nothing.
    :ivar devices: how many devices its flavor asks for by PCI flavors; NICs
        do not count.
    """

    uuid: str
    status: str
    host: str | None = None
    task: str | None = None
    project_id: str | None = None
    devices: int = 0

    @property
    def is_settled(self) -> bool:
        """Whether it should hold devices on its host, and on no other."""
        return self.task is None and self.status not in _UNSETTLED


class Kind(enum.Enum):
    """How this project's record and Nova's differ.

    The value is the name in the output; ``meaning`` and ``remedy`` tell an
    operator what it is and what ends it.
    """

    UNKNOWN_INSTANCE = 'unknown instance'
    OTHER_HOST = 'other host'
    UNSETTLED_CLAIM = 'unsettled claim'
    OTHER_PROJECT = 'other project'
    TOO_FEW = 'too few devices'

    @property
    def meaning(self) -> str:
        """What it means, in one sentence."""
        return _MEANINGS[self][0]

    @property
    def remedy(self) -> str:
        """What ends it."""
        return _MEANINGS[self][1]

    @property
    def is_safe_to_fix(self) -> bool:
        """Whether the device can be freed without asking anybody."""
        return self is Kind.UNKNOWN_INSTANCE


_MEANINGS: Final = {
    Kind.UNKNOWN_INSTANCE: (
        'Nova has no such instance, so nobody can use the device',
        'audit --fix frees it; nova-compute on the host does, too, when it '
        'runs',
    ),
    Kind.OTHER_HOST: (
        'Nova has the instance on another host, or on none, and does not '
        'move it',
        'start nova-compute on the host of the device: it frees what '
        'evacuated instances have left there. For a host that is gone for '
        'good: pci-passthrough-manage host forget',
    ),
    Kind.UNSETTLED_CLAIM: (
        'the instance is there, but nova-compute has not confirmed the claim',
        'nova-compute on the host confirms or frees it in its next periodic '
        'task; see its log if it does not',
    ),
    Kind.OTHER_PROJECT: (
        'the device counts for another project than that of the instance',
        'nova-compute on the host corrects it in its next periodic task',
    ),
    Kind.TOO_FEW: (
        'the instance holds fewer devices on its host than its flavor asks '
        'for, so its guest may use devices that others can get',
        'start nova-compute on its host with the Nova plugin: it records '
        'what its guests have',
    ),
}


@dataclasses.dataclass(frozen=True)
class Difference:
    """One difference.

    :ivar host: the host of the device, or of the instance.
    :ivar address: of the device; empty if the difference is of an instance.
    """

    host: str
    address: str
    instance: str
    kind: Kind


def compare(
    devices: Iterable[objects.PciDevice],
    servers: Mapping[str, Server | None],
) -> Iterator[Difference]:
    """Yield what differs.

    :param devices: all held devices of the servers, also on other hosts.
    :param servers: Nova's servers; None for a UUID of which Nova has none. Of
        an instance that is missing here nothing is said.
    """
    held = collections.Counter[tuple[str, str]]()
    for device in devices:
        instance = str(device.instance_uuid)
        held[instance, str(device.host)] += 1
        if instance in servers:
            kind = _kind(device, servers[instance])
            if kind is not None:
                yield Difference(
                    str(device.host), str(device.address), instance, kind
                )
    for server in servers.values():
        if (
            server is not None
            and server.is_settled
            and server.host is not None
            and server.status in _WITH_DEVICES
            and held[server.uuid, server.host] < server.devices
        ):
            yield Difference(server.host, '', server.uuid, Kind.TOO_FEW)


def _kind(device: objects.PciDevice, server: Server | None) -> Kind | None:
    if server is None:
        return Kind.UNKNOWN_INSTANCE
    if not server.is_settled:
        return None
    if server.host != device.host:
        return Kind.OTHER_HOST
    if device.status == fields.DeviceStatus.CLAIMED:
        return Kind.UNSETTLED_CLAIM
    if None not in (device.project_id, server.project_id) and (
        device.project_id != server.project_id
    ):
        return Kind.OTHER_PROJECT
    return None
