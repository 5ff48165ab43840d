# SPDX-License-Identifier: Apache-2.0
"""Small hosts for tests of decisions."""

from collections.abc import Sequence
import dataclasses

from pci_passthrough import claims
from pci_passthrough import objects

PF = 'type-PF'
VF = 'type-VF'
PCI = 'type-PCI'


@dataclasses.dataclass
class Host:
    """A host to which devices are added.

    :ivar keys: pool key id to pool key.
    :ivar devices: the host's free devices.
    """

    keys: dict[int, objects.PoolKey] = dataclasses.field(default_factory=dict)
    devices: list[claims.Candidate] = dataclasses.field(default_factory=list)

    def add(
        self,
        key_id: int,
        count: int = 1,
        *,
        numa: int | None = 0,
        dev_type: str = PCI,
        features: int = 0,
        **tags: str,
    ) -> 'Host':
        """Add devices without SR-IOV."""
        self._key(key_id, dev_type, numa, tags)
        for _ in range(count):
            self._device(key_id, None, dev_type, features)
        return self

    def family(
        self,
        key_id: int | None,
        vfs: dict[int, int],
        *,
        numa: int | None = 0,
        features: int = 0,
    ) -> 'Host':
        """Add a physical function (None: it is not free) and its VFs."""
        address = self._next_address()
        if key_id is not None:
            self._key(key_id, PF, numa, {})
            self._device(key_id, address, PF, features)
        for vf_key_id, count in vfs.items():
            self._key(vf_key_id, VF, numa, {})
            for _ in range(count):
                self._device(vf_key_id, address, VF, 0)
        return self

    @property
    def supply(self) -> claims.Supply:
        """The free devices of the host."""
        return claims.supply_of(self.devices)

    def decide(
        self,
        *demands: claims.Demand,
        numa: objects.NumaAffinity | None = None,
    ) -> claims.Decision | None:
        """Decide on the whole supply."""
        return claims.decide(self.supply, demands, self.keys.__getitem__, numa)

    def _next_address(self) -> str:
        return f'0000:{len(self.devices):02x}:00.0'

    def _key(
        self,
        key_id: int,
        dev_type: str,
        numa: int | None,
        tags: dict[str, str],
    ) -> None:
        key = objects.PoolKey(
            '8086',
            f'{key_id:04x}',
            None,
            None,
            '020000',
            dev_type,
            None,
            numa,
            tuple(sorted(tags.items())),
        )
        if self.keys.setdefault(key_id, key) != key:
            raise AssertionError(f'key {key_id} means two things')

    def _device(
        self, key_id: int, pf: str | None, dev_type: str, features: int
    ) -> None:
        number = len(self.devices)
        self.devices.append(
            claims.Candidate(
                number,
                key_id,
                pf if pf and dev_type == PF else f'0000:{number:02x}:01.0',
                pf,
                dev_type == PF,
                features,
            )
        )


def want(
    name: str,
    count: int,
    *alternatives: Sequence[int],
    policy: str = 'legacy',
) -> claims.Demand:
    """Return a demand; each alternative is its pool key ids."""
    return claims.Demand(
        name,
        count,
        tuple(
            claims.Alternative(
                f'{name}-{i}-uuid', f'{name}{i}', frozenset(key_ids), policy
            )
            for i, key_ids in enumerate(alternatives)
        ),
    )


def near(
    *nodes: int, socket: Sequence[int] | None = None
) -> objects.NumaAffinity:
    """Return the affinity of an instance on some NUMA nodes."""
    return objects.NumaAffinity(
        nodes=list(nodes),
        socket_nodes=list(nodes if socket is None else socket),
    )


def pools_of(decision: claims.Decision | None) -> list[dict[int, int]] | None:
    """Return from which pools each demand is served."""
    if decision is None:
        return None
    return [dict(pick.pools) for pick in decision.picks]
