# SPDX-License-Identifier: Apache-2.0
"""Decides what the limits of a project leave for an instance. Pure.

A limit is about the devices that a project holds through one PCI flavor. Of
an instance that is being moved, which holds devices on two hosts, only the
greater number counts. An instance that takes no more than it holds is always
served, so a limit that was lowered strands nobody.
"""

import collections
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import itertools
from typing import Final

#: The resource of a limit for each PCI flavor that has none of its own.
DEFAULT_RESOURCE: Final = 'pci_flavor'

#: A number of devices, and the UUIDs of the PCI flavors that can serve it, in
#: order of preference.
Wanted = tuple[int, Sequence[str]]


@dataclasses.dataclass(frozen=True, slots=True)
class Quota:
    """The limit of a project for a PCI flavor, and its use.

    :ivar limit: how many devices the project may hold.
    :ivar others: devices that its other instances hold.
    :ivar own: devices that the instance holds; if on several hosts, the
        greatest number.
    :ivar kept: those of them on the host of the claim, beside which the new
        devices come. 0 if the new ones replace them.
    """

    limit: int
    others: int = 0
    own: int = 0
    kept: int = 0

    @property
    def used(self) -> int:
        """The number of devices that the project holds."""
        return self.others + self.own

    @property
    def room(self) -> int:
        """The number of further devices that the instance may get."""
        return max(self.limit - self.others, self.own) - self.kept


@dataclasses.dataclass(frozen=True, slots=True)
class Excess:
    """A PCI flavor of which more is wanted than a quota has room for."""

    pci_flavor_uuid: str
    wanted: int
    quota: Quota


def limit_of(
    pci_flavor: str, own: Mapping[str, int], registered: Mapping[str, int]
) -> int | None:
    """Return the limit of a project for a PCI flavor; None if there is none.

    A limit for the PCI flavor goes before one for each PCI flavor, and the
    project's own before a registered one.

    :param pci_flavor: its name.
    :param own: the project's limits, by resource.
    :param registered: the registered limits, by resource.
    """
    for resource in (f'{DEFAULT_RESOURCE}:{pci_flavor}', DEFAULT_RESOURCE):
        for limits in (own, registered):
            if resource in limits:
                # Keystone's word for unlimited is -1.
                limit = limits[resource]
                return None if limit < 0 else limit
    return None


def servers_with_room(
    wanted: Sequence[Wanted], quotas: Mapping[str, Quota], most: int
) -> int:
    """Return for how many equal servers the quotas have room.

    :param wanted: the requests of one server. Earlier servers get the better
        alternatives.
    :param quotas: by UUID of a PCI flavor; the others have no limit.
    :param most: the number of servers that are wanted.
    """
    room = {uuid: quota.room for uuid, quota in quotas.items()}
    servers = 0
    for taken in _combinations(wanted):
        limited = [uuid for uuid in taken if uuid in room]
        count = min(
            (most - servers, *(room[uuid] // taken[uuid] for uuid in limited))
        )
        if count > 0:
            servers += count
            for uuid in limited:
                room[uuid] -= count * taken[uuid]
    return servers


def _combinations(
    wanted: Sequence[Wanted],
) -> Iterator[collections.Counter[str]]:
    """Yield the devices by PCI flavor, for each choice of alternatives."""
    for chosen in itertools.product(*(uuids for _, uuids in wanted)):
        taken: collections.Counter[str] = collections.Counter()
        for (count, _), uuid in zip(wanted, chosen, strict=True):
            taken[uuid] += count
        yield taken


def excesses(
    wanted: Iterable[Wanted], quotas: Mapping[str, Quota], servers: int = 1
) -> list[Excess]:
    """Return the PCI flavors whose quotas cannot serve all that names them.

    If the quotas have no room for the requests together, there is one.
    """
    asked: collections.Counter[str] = collections.Counter()
    for count, uuids in wanted:
        for uuid in set(uuids):
            asked[uuid] += count * servers
    return [
        Excess(uuid, asked[uuid], quotas[uuid])
        for uuid in sorted(quotas)
        if asked[uuid] > quotas[uuid].room
    ]
