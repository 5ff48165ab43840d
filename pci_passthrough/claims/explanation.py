# SPDX-License-Identifier: Apache-2.0
"""What hosts answer to a request for one PCI flavor, put together. Pure."""

import collections
from collections.abc import Iterable
import dataclasses
from typing import Self

from pci_passthrough import objects
from pci_passthrough.claims import decision as decision_mod
from pci_passthrough.claims import refusal
from pci_passthrough.claims import supply as supply_mod


@dataclasses.dataclass(frozen=True, slots=True)
class NearMiss:
    """A pool of a host that would serve but for one condition.

    :ivar devices: how many the pool has, in whatever state.
    :ivar pool: for example ``10de:2330 type-PCI NUMA 0``.
    :ivar key: the match key, for example ``e.group``.
    :ivar wanted: what its value would have to be, as JSON.
    :ivar found: its value; None: the pool has none.
    """

    devices: int
    pool: str
    key: str
    wanted: str
    found: str | None


@dataclasses.dataclass(frozen=True, slots=True)
class HostAnswer:
    """Whether one host serves a request, and what keeps it from that.

    :ivar condition: one of ``objects.fields.RefusalCondition``; None: it
        serves.
    :ivar needed: devices of the request.
    :ivar left: devices left after that condition.
    :ivar detail: its pools that are matched, and the states of the devices;
        empty if it serves.
    :ivar text: what is wrong, without the host's name; empty if nothing.
    :ivar near_misses: the nearest first.
    """

    host: str
    condition: str | None
    needed: int
    left: int
    detail: str = ''
    text: str = ''
    near_misses: tuple[NearMiss, ...] = ()

    @property
    def serves(self) -> bool:
        """Whether it does."""
        return self.condition is None

    @classmethod
    def serving(
        cls, host: str, demand: decision_mod.Demand, supply: supply_mod.Supply
    ) -> Self:
        """Return the answer of a host that serves a demand."""
        [alternative] = demand.alternatives
        left = supply.total(alternative.key_ids)
        return cls(host, None, demand.count, left)

    @classmethod
    def refusing(
        cls,
        host: str,
        demand: decision_mod.Demand,
        supply: supply_mod.Supply,
        totals: Iterable[refusal.PoolTotal],
        get_key: decision_mod.GetKey,
        near_misses: Iterable[NearMiss] = (),
    ) -> Self:
        """Return the answer of a host that is up and does not.

        :param demand: has one alternative.
        :param supply: what it could give away.
        :param totals: its devices that match, in whatever state.
        :param get_key: pool key id to pool key.
        """
        [reason] = refusal.explain(host, [demand], supply, totals, get_key)
        return cls._refusing(reason, tuple(near_misses))

    @classmethod
    def absent(
        cls, host: str, demand: decision_mod.Demand, condition: str
    ) -> Self:
        """Return the answer of a host that is not up.

        :param condition: for example ``host_down``.
        """
        return cls._refusing(
            objects.RefusalReason(
                host=host,
                request_id=demand.request_id,
                pci_flavor=demand.alternatives[0].name,
                condition=condition,
                needed=demand.count,
                left=0,
                detail='',
            ),
            (),
        )

    @classmethod
    def _refusing(
        cls,
        reason: objects.RefusalReason,
        near_misses: tuple[NearMiss, ...],
    ) -> Self:
        return cls(
            str(reason.host),
            str(reason.condition),
            int(reason.needed),
            int(reason.left),
            str(reason.detail),
            refusal.in_words(reason),
            near_misses,
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Reason:
    """What is wrong with some hosts.

    :ivar text: for example ``no free bigGPU``.
    :ivar hosts: with how many of them.
    """

    condition: str
    text: str
    hosts: int


@dataclasses.dataclass(frozen=True, slots=True)
class Explanation:
    """Which hosts serve a request for one PCI flavor, and why others do not.

    :ivar count: devices of the request.
    :ivar hosts: by name.
    """

    pci_flavor: objects.PciFlavor
    count: int
    hosts: tuple[HostAnswer, ...]

    @property
    def serving(self) -> int:
        """How many hosts serve it."""
        return sum(host.serves for host in self.hosts)

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """What is wrong with the others; what concerns most of them first."""
        counts = collections.Counter(
            (host.condition, host.text)
            for host in self.hosts
            if host.condition is not None
        )
        return tuple(
            Reason(condition, text, hosts)
            for (condition, text), hosts in sorted(
                counts.items(), key=lambda item: (-item[1], item[0])
            )
            if condition is not None
        )

    @property
    def summary(self) -> str:
        """One line such as ``3 hosts: no free bigGPU``; empty if all serve."""
        return '; '.join(
            f'{one.hosts} host{"s" if one.hosts > 1 else ""}: {one.text}'
            for one in self.reasons
        )
