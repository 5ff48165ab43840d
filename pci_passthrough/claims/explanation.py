# SPDX-License-Identifier: Apache-2.0
"""The answers of hosts to a request for one PCI flavor, and their summary."""

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
    """A pool of a host that fails a PCI flavor's match by one key only.

    :ivar devices: number of devices in the pool, in any state.
    :ivar pool: for example ``10de:2330 type-PCI NUMA 0``.
    :ivar key: the match key, for example ``e.group``.
    :ivar wanted: the value that the PCI flavor wants, as JSON.
    :ivar actual: the pool's value; None means that the pool has none.
    """

    devices: int
    pool: str
    key: str
    wanted: str
    actual: str | None


@dataclasses.dataclass(frozen=True, slots=True)
class HostAnswer:
    """The answer of one host: it serves a request, or a condition failed.

    :ivar condition: one of ``objects.fields.RefusalCondition``; None means
        that the host serves the request.
    :ivar needed: number of devices of the request.
    :ivar left: number of devices left after the failed condition.
    :ivar detail: the matched pools and the states of their devices; empty if
        the host serves the request.
    :ivar text: the failed condition in words, without the host's name; empty
        if the host serves the request.
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
        """Whether the host serves the request."""
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
        """Return the answer of a host that is up and cannot serve a demand.

        :param demand: has one alternative.
        :param supply: the host's free devices.
        :param totals: the host's matching devices, in any state.
        :param get_key: returns the pool key of an id.
        """
        [reason] = refusal.explain(host, [demand], supply, totals, get_key)
        return cls._refusing(reason, tuple(near_misses))

    @classmethod
    def absent(
        cls, host: str, demand: decision_mod.Demand, condition: str
    ) -> Self:
        """Return the answer of a host that is down.

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
    """A condition that failed on some hosts.

    :ivar text: for example ``no free bigGPU``.
    :ivar hosts: the number of hosts on which it failed.
    """

    condition: str
    text: str
    hosts: int


@dataclasses.dataclass(frozen=True, slots=True)
class Explanation:
    """The answers of all hosts to a request for one PCI flavor.

    :ivar count: number of devices of the request.
    :ivar hosts: sorted by name.
    """

    pci_flavor: objects.PciFlavor
    count: int
    hosts: tuple[HostAnswer, ...]

    @property
    def serving(self) -> int:
        """The number of hosts that serve the request."""
        return sum(host.serves for host in self.hosts)

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """The reasons of the other hosts, the most frequent ones first."""
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
            f'{reason.hosts} host{"s" if reason.hosts > 1 else ""}: '
            f'{reason.text}'
            for reason in self.reasons
        )
