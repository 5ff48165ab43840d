# SPDX-License-Identifier: Apache-2.0
"""Looks for hosts with free devices that are no candidates of Nova's.

nova-scheduler asks when none of its candidates can serve. All hosts of the
cloud are looked at, so it may do so for a certain share of its time only.
"""

from collections.abc import Callable
from collections.abc import Collection
import time
from typing import Any

from oslo_log import log as logging

from pci_passthrough import claims
from pci_passthrough import exception
from pci_passthrough.nova_plugin import scheduler_calls
from pci_passthrough.objects import fields

LOG = logging.getLogger(__name__)

#: After a search, the next one waits so many times as long as it took: 10 s if
#: it took half a second.
_PAUSES = 20


class Search:
    """The searches of one nova-scheduler process."""

    def __init__(self) -> None:
        self._next = 0.0

    def find(
        self,
        spec: Any,
        candidates: Collection[str],
        offer: Callable[[], claims.SupplySnapshot],
    ) -> dict[claims.FailedCondition, list[str]]:
        """Return why hosts with free devices were not considered.

        NUMA nodes are not: Nova has not told those of such hosts.

        :param spec: Nova's ``RequestSpec``.
        :param candidates: the hosts that Nova has considered.
        :param offer: asks a conductor for the free devices of all hosts.
        :returns: condition to hosts; empty if there are none, if the request
            names its host, or if it is too early for another search.
        """
        started = time.monotonic()
        if started < self._next or _names_host(spec):
            return {}
        try:
            snapshot = offer()
        except exception.PciPassthroughError as error:
            LOG.warning('Could not look for devices elsewhere: %s', error.text)
            return {}
        else:
            return _outside(candidates, snapshot)
        finally:
            ended = time.monotonic()
            self._next = ended + _PAUSES * (ended - started)


def _names_host(spec: Any) -> bool:
    """Whether a request is for certain hosts only."""
    destination = (
        spec.requested_destination if 'requested_destination' in spec else None
    )
    return bool(
        ('force_hosts' in spec and spec.force_hosts)
        or ('force_nodes' in spec and spec.force_nodes)
        or (destination and 'host' in destination and destination.host)
    )


def _outside(
    candidates: Collection[str], snapshot: claims.SupplySnapshot
) -> dict[claims.FailedCondition, list[str]]:
    """Return the hosts beside the candidates that have the devices."""
    serving = [
        host
        for host in snapshot.supplies
        if host not in candidates and snapshot.decide(host) is not None
    ]
    if not serving:
        return {}
    limit = scheduler_calls.current().limit_reached()
    text = 'free devices, but left out by Placement or another filter'
    if limit is not None:
        text = (
            "free devices, but not among Nova's candidates: "
            f'max_placement_results = {limit} was reached'
        )
    failed = claims.FailedCondition(text, fields.RefusalCondition.ELSEWHERE)
    return {failed: serving}
