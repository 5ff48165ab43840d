# SPDX-License-Identifier: Apache-2.0
"""Replaces a host's PciDeviceStats: Nova's pools and the conductor's supply.

Nova calls it in the scheduler (filters, weighers, the consumption of a
multi-create) and in the resource tracker (the test of a claim). All requests
for PCI flavors are decided together, by ``claims.decide``; Nova's native
pools serve all other requests. Neither serves the other's requests.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
import copy
from typing import Any
from typing import Self

from pci_passthrough import claims
from pci_passthrough import objects
from pci_passthrough.nova_plugin import requests
from pci_passthrough.nova_plugin.compat import pools
from pci_passthrough.objects import fields

#: Takes requests for PCI flavors, returns the supply of a host for them.
Load = Callable[[Sequence[Any]], 'HostSupply']

#: Returns all free devices of a host as pools in Nova's form.
FreePools = Callable[[], list[dict[str, Any]]]


class HostSupply:
    """The free devices of one host, for the requests of an instance.

    :param host: its name.
    :param snapshot: the requests, and the supplies of this host and maybe
        others.
    """

    def __init__(self, host: str, snapshot: claims.SupplySnapshot) -> None:
        self.host = host
        self.snapshot = snapshot

    def decide(
        self, numa: objects.NumaAffinity | None = None
    ) -> claims.Decision | None:
        """Decide how to serve all requests; see ``claims.decide``.

        :returns: None if they cannot be served.
        """
        return self.snapshot.decide(self.host, numa)

    def consume(self, decision: claims.Decision) -> None:
        """Remove the devices of a decision from the supply."""
        # Other hosts keep the snapshot that they share with this one.
        self.snapshot = self.snapshot.consume(self.host, decision)

    def pools(self) -> list[dict[str, Any]]:
        """Return the supply as pools in Nova's form.

        A physical function and its virtual functions are both counted,
        although they exclude each other.
        """
        supply = self.snapshot.supplies.get(self.host)
        if supply is None:
            return []
        keys = sorted({key_id for key_id, _ in supply.pools()})
        return [
            _pool(self.snapshot.keys[key_id], supply.total({key_id}))
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


def nothing(wanted: Sequence[Any]) -> HostSupply:
    """A ``Load``: return a supply that serves no request."""
    absent = {'': fields.RefusalCondition.OTHER}
    return HostSupply('', claims.SupplySnapshot((), {}, {}, absent))


class PciFlavorStats(pools.PciDeviceStats):
    """Replaces the ``PciDeviceStats`` object of one host.

    Methods that are not overridden work on Nova's native pools.

    :param native: Nova's ``PciDeviceStats`` of the host.
    :param load: called for the supply whenever Nova asks.
    :param supply: the supply, if it is known and does not change by itself;
        it is counted among the pools, and consumed.
    :param free_pools: called when Nova fits an instance to the host's NUMA
        nodes that requests no PCI devices; see ``for_fitting``.
    """

    def __init__(
        self,
        native: Any,
        load: Load,
        supply: HostSupply | None = None,
        free_pools: FreePools = list,
    ) -> None:
        # Without Nova's __init__, which would read [pci] device_spec again.
        self.native = native
        self.load = load
        self.supply = supply
        self.free_pools = free_pools

    @classmethod
    def with_supply(cls, native: Any, supply: HostSupply) -> Self:
        """Return the pools of a host whose supply is known already."""
        return cls(native, lambda wanted: supply, supply)

    @property
    def pools(self) -> list[dict[str, Any]]:
        """All pools, as PCIWeigher and NUMATopologyFilter count them."""
        native: list[dict[str, Any]] = self.native.pools
        if self.supply is None:
            return native
        return [*native, *self.supply.pools()]

    @pools.setter
    def pools(self, pools: list[dict[str, Any]]) -> None:
        self.native.pools = pools

    @property
    def numa_topology(self) -> Any:
        """Nova's ``NUMATopology`` of the host."""
        return self.native.numa_topology

    @property
    def dev_filter(self) -> Any:
        """Nova's ``Whitelist``, made from ``[pci] device_spec``."""
        return self.native.dev_filter

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Return the pools that Nova keeps in its database: native ones."""
        return iter(self.native)

    def __deepcopy__(self, memo: dict[int, Any]) -> 'PciFlavorStats':
        copied = copy.copy(self)
        copied.native = copy.deepcopy(self.native, memo)
        if self.supply is not None:
            # Consuming replaces a supply's snapshot, and does not change it.
            supply = copy.copy(self.supply)
            copied.supply, copied.load = supply, lambda wanted: supply
        return copied

    __hash__ = None  # type: ignore[assignment]

    def support_requests(
        self, wanted: Sequence[Any], *args: Any, **kwargs: Any
    ) -> bool:
        """Return whether the host can serve all requests.

        :param wanted: Nova's ``InstancePCIRequest`` objects.
        :param args: as Nova's; they are passed on unchanged if no request is
            for PCI flavors.
        """
        if not requests.for_pci_flavors(wanted):
            supported: bool = self.native.support_requests(
                wanted, *args, **kwargs
            )
            return supported
        return self._support_both(wanted, *args, **kwargs)

    def _support_both(
        self,
        wanted: Sequence[Any],
        provider_mapping: Any,
        numa_cells: Sequence[Any] | None = None,
    ) -> bool:
        native = requests.native(wanted)
        if native and not self.native.support_requests(
            native, provider_mapping, numa_cells
        ):
            return False
        supply = self.load(requests.for_pci_flavors(wanted))
        return supply.decide(self.affinity(numa_cells)) is not None

    def apply_requests(
        self,
        wanted: Sequence[Any],
        provider_mapping: Any,
        numa_cells: Sequence[Any] | None = None,
    ) -> None:
        """Remove the devices for requests from the pools, in memory only.

        :raises PciDeviceRequestFailed: the host cannot serve the requests.
        """
        for_pci_flavors = requests.for_pci_flavors(wanted)
        native = requests.native(wanted)
        if not for_pci_flavors:
            self.native.apply_requests(native, provider_mapping, numa_cells)
            return
        supply = self.load(for_pci_flavors)
        decision = supply.decide(self.affinity(numa_cells))
        if decision is None:
            raise pools.PciDeviceRequestFailed(requests=wanted)
        if native:
            self.native.apply_requests(native, provider_mapping, numa_cells)
        supply.consume(decision)

    def for_fitting(self, wanted: Sequence[Any] | None) -> Any:
        """Return the pools for fitting an instance to the host's NUMA nodes.

        Nova tries the nodes with the most free devices first for an instance
        that requests PCI devices, and last for any other instance.

        :param wanted: Nova's ``InstancePCIRequest`` objects.
        """
        if not wanted:
            return FittingPools(self, self.free_pools)
        for_pci_flavors = requests.for_pci_flavors(wanted)
        if self.supply is not None or not for_pci_flavors:
            return self
        return FittingPools(self, lambda: self.load(for_pci_flavors).pools())

    def affinity(
        self, numa_cells: Sequence[Any] | None
    ) -> objects.NumaAffinity | None:
        """Return where on this host an instance is; see ``affinity``."""
        return affinity(numa_cells, self.numa_topology)


class FittingPools:
    """A host's pools, for one call of ``numa_fit_instance_to_host``.

    :param both: the pools of the host, without free devices.
    :param free_pools: called for the free devices when Nova reads the pools:
        it does not if the instance has no NUMA topology, or needs all nodes.
    """

    def __init__(self, both: PciFlavorStats, free_pools: FreePools) -> None:
        self._both = both
        self._free_pools = free_pools

    @property
    def pools(self) -> list[dict[str, Any]]:
        """Nova's own pools, and those of the free devices."""
        return [*self._both.native.pools, *self._free_pools()]

    def support_requests(self, *args: Any, **kwargs: Any) -> bool:
        """See ``PciFlavorStats.support_requests``."""
        return self._both.support_requests(*args, **kwargs)


def affinity(
    cells: Iterable[Any] | None, host_topology: Any
) -> objects.NumaAffinity | None:
    """Return where on a host an instance with some NUMA cells is.

    :param cells: Nova's ``InstanceNUMACell`` or ``NUMACell`` objects, with
        the host's numbers. None means no NUMA topology.
    :param host_topology: Nova's ``NUMATopology`` of the host; None means not
        known.
    """
    if not cells:
        return None
    nodes = sorted({cell.id for cell in cells})
    known = host_topology.cells if host_topology else []
    sockets = {socket_of(cell) for cell in known if cell.id in nodes}
    # As in Nova: without the sockets of all cells, no cells share a socket.
    complete = all(socket_of(cell) is not None for cell in known)
    near = [
        cell.id for cell in known if complete and socket_of(cell) in sockets
    ]
    return objects.NumaAffinity(nodes=nodes, socket_nodes=near)


def socket_of(cell: Any) -> int | None:
    """Return the socket of a host's ``NUMACell``; None means not known."""
    socket: int | None = cell.socket if 'socket' in cell else None
    return socket
