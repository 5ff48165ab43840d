# SPDX-License-Identifier: Apache-2.0
"""A weigher of nova-scheduler: prefers the host with the least loss.

``scheduler_lists`` inserts it into the weighers of nova-scheduler.
"""

from collections.abc import Sequence
import math
from typing import Any

from pci_passthrough import claims
from pci_passthrough.nova_plugin import cloud_facts
from pci_passthrough.nova_plugin import requests
from pci_passthrough.nova_plugin import scheduler_filter
from pci_passthrough.nova_plugin.compat import scheduler
from pci_passthrough.nova_plugin.install import bootstrap

_MULTIPLIER = 'pci_flavor_weight_multiplier'

#: Subtracted from the weight of a host, otherwise 0 to 1, on which a guest
#: would get a device with failed starts: more than Nova's weighers add up to,
#: but for those whose default multipliers decide alone (failed builds, cells).
_FAILED_STARTS = 1000.0


class PciFlavorWeigher(scheduler.BaseHostWeigher):
    """Keeps devices for the instances that need them.

    An instance with PCI flavors goes to the host that would lose least (see
    ``claims.Loss``), any other instance to a host without devices. A host
    whose only choice is a device with failed starts is the last one, whatever
    Nova's other weighers prefer.
    """

    # The weights are normalized already.
    minval = 0.0
    maxval = 1.0

    def __init__(self) -> None:
        bootstrap.install()
        self._hosts = cloud_facts.hosts_with_devices()

    def weight_multiplier(self, host_state: Any) -> float:
        """Return the multiplier of this weigher's weights."""
        multiplier: float = scheduler.get_weight_multiplier(
            host_state, _MULTIPLIER, _options()[_MULTIPLIER]
        )
        return multiplier

    def weigh_objects(
        self, weighed_obj_list: Sequence[Any], weight_properties: Any
    ) -> list[float]:
        """Return a weight for each host; a greater one is better.

        :param weighed_obj_list: objects with Nova's ``HostState`` in ``obj``.
        :param weight_properties: Nova's ``RequestSpec``.
        """
        hosts = [weighed.obj for weighed in weighed_obj_list]
        pci_requests = weight_properties.pci_requests
        if requests.for_pci_flavors(
            pci_requests.requests if pci_requests else ()
        ):
            losses = [_loss(host.pci_stats) for host in hosts]
            return [
                weight - self._penalty(host, loss)
                for host, loss, weight in zip(
                    hosts, losses, _by_loss(losses), strict=True
                )
            ]
        avoided = self._hosts.get(_options().hosts_with_devices_interval)
        return _neutral_if_equal(
            [0.0 if host.host in avoided else 1.0 for host in hosts]
        )

    def _penalty(self, host: Any, loss: claims.Loss | None) -> float:
        """Return what to subtract from the weight of a host.

        A negative multiplier prefers another order of the devices that work.
        """
        if loss is None or not loss.failed:
            return 0.0
        return math.copysign(_FAILED_STARTS, self.weight_multiplier(host))

    def _weigh_object(self, host_state: Any, weight_properties: Any) -> float:
        """Refuse: a loss can only be compared with those of other hosts."""
        raise NotImplementedError


def _options() -> Any:
    return bootstrap.nova_conf().pci_passthrough


def _by_loss(losses: Sequence[claims.Loss | None]) -> list[float]:
    """Return 1 for the least loss, 0 for the greatest or an unknown one."""
    order = sorted({loss for loss in losses if loss is not None})
    levels = len(order) + (None in losses)
    step = 1 / max(1, levels - 1)
    weights = {loss: 1 - rank * step for rank, loss in enumerate(order)}
    return _neutral_if_equal(
        [0.0 if loss is None else weights[loss] for loss in losses]
    )


def _neutral_if_equal(weights: list[float]) -> list[float]:
    """Return zeros if all weights are equal, as Nova's normalization does.

    Otherwise the greater multiplier of an aggregate would decide.
    """
    return weights if len({*weights}) > 1 else [0.0] * len(weights)


def _loss(pools: Any) -> claims.Loss | None:
    """Return the loss of a host; None if PciFlavorFilter has not run."""
    if (
        not isinstance(pools, scheduler_filter.ScheduledStats)
        or pools.supply is None
        or pools.decision is None
    ):
        return None
    snapshot = pools.supply.snapshot
    return claims.Loss.of(
        pools.decision,
        snapshot.keys.__getitem__,
        snapshot.proven.get(pools.supply.host),
    )
