# SPDX-License-Identifier: Apache-2.0
"""A host's pools: Nova's own beside what this project offers.

Nova asks this in the scheduler (filters, weighers, the consumption of a
multi-create) and in the resource tracker (a claim's test). Requests for PCI
flavors are decided together, by ``claims.decide``; all others are left to
Nova's own pools. Neither can be served from the other's.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
import copy
import dataclasses
from typing import Any
from typing import Self

from pci_passthrough import claims
from pci_passthrough import objects
from pci_passthrough.nova_plugin import requests
from pci_passthrough.nova_plugin.compat import pools

#: Gets requests of ours, returns what can be given for them.
Load = Callable[[Sequence[Any]], 'HostOffer']


class HostOffer:
    """What one host can give for some requests; less with each instance.

    :param host: its name.
    :param offer: with the requests, and the host's supply.
    """

    def __init__(self, host: str, offer: claims.SupplySnapshot) -> None:
        self.host = host
        self.offer = offer

    def decide(
        self, numa: objects.NumaAffinity | None = None
    ) -> claims.Decision | None:
        """Say how all requests can be served; see ``claims.decide``."""
        return self.offer.decide(self.host, numa)

    def consume(self, decision: claims.Decision) -> None:
        """Take away what was decided."""
        left = claims.consume(self.offer.supplies[self.host], decision)
        # The other hosts go on with what they have in common.
        self.offer = dataclasses.replace(
            self.offer, supplies={self.host: left}
        )

    def pools(self) -> list[dict[str, Any]]:
        """Return pools as Nova shows them.

        A physical function and its virtual functions are both counted,
        although not both can be given.
        """
        supply = self.offer.supplies.get(self.host)
        if supply is None:
            return []
        keys = sorted({key_id for key_id, _ in supply.pools()})
        return [
            _pool(self.offer.keys[key_id], supply.total({key_id}))
            for key_id in keys
        ]


def _pool(key: objects.PoolKey, count: int) -> dict[str, Any]:
    return {
        'vendor_id': key.vendor_id,
        'product_id': key.product_id,
        'dev_type': key.dev_type,
        'numa_node': key.numa_node,
        'count': count,
    }


class PciFlavorStats(pools.PciDeviceStats):
    """In the place of a host's ``PciDeviceStats``.

    What is not said otherwise here works on Nova's own pools.

    :param native: Nova's own pools.
    :param load: asked what can be given, whenever Nova wants to know.
    :param offer: what can be given, if that is known and stays so; to be
        counted among the pools, and consumed.
    """

    def __init__(
        self, native: Any, load: Load, offer: HostOffer | None = None
    ) -> None:
        # Not Nova's own: it would read [pci] device_spec again.
        self.native = native
        self.load = load
        self.offer = offer

    @classmethod
    def with_offer(cls, native: Any, offer: HostOffer) -> Self:
        """Return the pools of a host whose offer is here already."""
        return cls(native, lambda wanted: offer, offer)

    @property
    def pools(self) -> list[dict[str, Any]]:
        """All pools, as PCIWeigher and NUMATopologyFilter count them."""
        own: list[dict[str, Any]] = self.native.pools
        return own if self.offer is None else [*own, *self.offer.pools()]

    @pools.setter
    def pools(self, pools: list[dict[str, Any]]) -> None:
        self.native.pools = pools

    @property
    def numa_topology(self) -> Any:
        """The host's."""
        return self.native.numa_topology

    @property
    def dev_filter(self) -> Any:
        """What ``[pci] device_spec`` says."""
        return self.native.dev_filter

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Return what Nova keeps in its database: its own pools."""
        return iter(self.native)

    def __deepcopy__(self, memo: dict[int, Any]) -> 'PciFlavorStats':
        made = copy.copy(self)
        made.native = copy.deepcopy(self.native, memo)
        if self.offer is not None:
            # What it can give does not change, only which it is.
            offer = copy.copy(self.offer)
            made.offer, made.load = offer, lambda wanted: offer
        return made

    __hash__ = None  # type: ignore[assignment]

    def support_requests(
        self, wanted: Sequence[Any], *args: Any, **kwargs: Any
    ) -> bool:
        """Say whether all requests can be served, Nova's and ours.

        :param args: as Nova's; without a request of ours they are passed on
            just as they came.
        """
        if not requests.ours(wanted):
            native: bool = self.native.support_requests(
                wanted, *args, **kwargs
            )
            return native
        return self._support_both(wanted, *args, **kwargs)

    def _support_both(
        self,
        wanted: Sequence[Any],
        provider_mapping: Any,
        numa_cells: Sequence[Any] | None = None,
    ) -> bool:
        own = requests.natives(wanted)
        if own and not self.native.support_requests(
            own, provider_mapping, numa_cells
        ):
            return False
        offer = self.load(requests.ours(wanted))
        return offer.decide(self.affinity(numa_cells)) is not None

    def apply_requests(
        self,
        wanted: Sequence[Any],
        provider_mapping: Any,
        numa_cells: Sequence[Any] | None = None,
    ) -> None:
        """Take away what requests need, in the scheduler's mind only.

        :raises PciDeviceRequestFailed: they cannot be served.
        """
        ours = requests.ours(wanted)
        own = requests.natives(wanted)
        if not ours:
            self.native.apply_requests(own, provider_mapping, numa_cells)
            return
        offer = self.load(ours)
        decision = offer.decide(self.affinity(numa_cells))
        if decision is None:
            raise pools.PciDeviceRequestFailed(requests=wanted)
        if own:
            self.native.apply_requests(own, provider_mapping, numa_cells)
        offer.consume(decision)

    def affinity(
        self, numa_cells: Sequence[Any] | None
    ) -> objects.NumaAffinity | None:
        """Return where an instance is; see ``affinity``."""
        return affinity(numa_cells, self.numa_topology)


def affinity(
    cells: Iterable[Any] | None, host_topology: Any
) -> objects.NumaAffinity | None:
    """Return where an instance with some NUMA cells is on a host.

    :param cells: Nova's ``InstanceNUMACell`` or ``NUMACell`` objects, with
        the host's numbers. None: the instance has no NUMA topology.
    :param host_topology: Nova's ``NUMATopology`` of the host; None: unknown.
    """
    if not cells:
        return None
    nodes = sorted({cell.id for cell in cells})
    known = host_topology.cells if host_topology else []
    sockets = {socket_of(cell) for cell in known if cell.id in nodes}
    # As in Nova: a host that does not tell all sockets has no near ones.
    told = all(socket_of(cell) is not None for cell in known)
    near = [cell.id for cell in known if told and socket_of(cell) in sockets]
    return objects.NumaAffinity(nodes=nodes, socket_nodes=near)


def socket_of(cell: Any) -> int | None:
    """Return the socket of a host's ``NUMACell``, None if not told."""
    socket: int | None = cell.socket if 'socket' in cell else None
    return socket
