# SPDX-License-Identifier: Apache-2.0
"""The scheduler's weigher: the host that would lose least goes first.

``nova.conf``::

    [filter_scheduler]
    weight_classes = nova.scheduler.weights.all_weighers,pci_passthrough.nova_plugin.weigher.PciFlavorWeigher
"""  # noqa: E501

from collections.abc import Sequence
import threading
import time
from typing import Any

from oslo_log import log as logging

from pci_passthrough import claims
from pci_passthrough import exception
from pci_passthrough.nova_plugin import client
from pci_passthrough.nova_plugin import requests
from pci_passthrough.nova_plugin import scheduler_filter
from pci_passthrough.nova_plugin.compat import scheduler
from pci_passthrough.nova_plugin.install import bootstrap

LOG = logging.getLogger(__name__)

_MULTIPLIER = 'pci_flavor_weight_multiplier'


class PciFlavorWeigher(scheduler.BaseHostWeigher):
    """Keeps devices for those who need them."""

    def __init__(self) -> None:
        bootstrap.install()
        self._known = KnownHosts()

    def weight_multiplier(self, host_state: Any) -> float:
        """Return how much this weigher counts."""
        multiplier: float = scheduler.get_weight_multiplier(
            host_state, _MULTIPLIER, _options()[_MULTIPLIER]
        )
        return multiplier

    def weigh_objects(
        self, weighed_obj_list: Sequence[Any], weight_properties: Any
    ) -> list[float]:
        """Return a weight for each host; more is better.

        :param weighed_obj_list: ``obj`` of each is Nova's ``HostState``.
        :param weight_properties: Nova's ``RequestSpec``.
        """
        hosts = [one.obj for one in weighed_obj_list]
        pci_requests = weight_properties.pci_requests
        if requests.ours(pci_requests.requests if pci_requests else ()):
            return _by_loss(hosts)
        have = self._known.get(_options().hosts_with_devices_interval)
        return [-1.0 if host.host in have else 0.0 for host in hosts]

    def _weigh_object(self, host_state: Any, weight_properties: Any) -> float:
        """Not asked for: one host says nothing without the others."""
        raise NotImplementedError


class KnownHosts:
    """Which hosts offer devices, as far as is known.

    Nobody waits for it: a thread asks the conductor.
    """

    def __init__(self) -> None:
        self._hosts: frozenset[str] = frozenset()
        self._lock = threading.Lock()
        self._asked_at: float | None = None

    def get(self, interval: float) -> frozenset[str]:
        """Return what is known.

        :param interval: seconds after which the conductor is asked again.
        """
        now = time.monotonic()
        with self._lock:
            asked = self._asked_at
            if asked is None or now - asked >= interval:
                self._asked_at = now
                threading.Thread(
                    target=self._ask, name='pci-hosts', daemon=True
                ).start()
            return self._hosts

    def _ask(self) -> None:
        try:
            hosts = frozenset(client.conductor().hosts_with_devices())
        except exception.PciPassthroughError as error:
            LOG.warning(
                'Which hosts have devices is not known, so they are not '
                'spared: %s',
                error.text,
            )
            hosts = frozenset()
        with self._lock:
            self._hosts = hosts


def _options() -> Any:
    return bootstrap.nova_conf().pci_passthrough


def _by_loss(hosts: Sequence[Any]) -> list[float]:
    losses = [_loss(host.pci_stats) for host in hosts]
    order = sorted({loss for loss in losses if loss is not None})
    places = {loss: float(place) for place, loss in enumerate(order)}
    return [
        -float(len(order)) if loss is None else -places[loss]
        for loss in losses
    ]


def _loss(pools: Any) -> claims.Loss | None:
    """Return what a host would lose; None: PciFlavorFilter did not look."""
    if (
        not isinstance(pools, scheduler_filter.ScheduledStats)
        or pools.offer is None
        or pools.decision is None
    ):
        return None
    offer = pools.offer.offer
    return claims.Loss.of(
        offer.supplies[pools.offer.host],
        pools.decision,
        offer.keys.__getitem__,
    )
