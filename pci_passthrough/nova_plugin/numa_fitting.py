# SPDX-License-Identifier: Apache-2.0
"""Keeps instances off the NUMA nodes that have free devices.

Nova has one function that chooses the host's NUMA nodes for an instance. It
tries nodes with free PCI devices last if the instance requests none.
nova-compute calls it at the beginning of a claim, nova-scheduler to filter
hosts, and between two instances of a multi-create.
"""

from collections.abc import Callable
import functools
import inspect
from typing import Any

from pci_passthrough.nova_plugin import stats


def wrap_numa_fit_instance_to_host(
    original: Callable[..., Any],
) -> Callable[..., Any]:
    """Replace ``nova.virt.hardware.numa_fit_instance_to_host``.

    The replacement counts the free devices of PCI flavors among the pools.
    Before Nova 34, nova-compute passes no pools for an instance without PCI
    requests, and such an instance avoids neither these devices nor native
    ones there.
    """
    signature = inspect.signature(original)

    @functools.wraps(original)
    def numa_fit_instance_to_host(*args: Any, **kwargs: Any) -> Any:
        given = signature.bind(*args, **kwargs)
        pools = given.arguments.get('pci_stats')
        if isinstance(pools, stats.PciFlavorStats):
            given.arguments['pci_stats'] = pools.for_fitting(
                given.arguments.get('pci_requests')
            )
        return original(*given.args, **given.kwargs)

    return numa_fit_instance_to_host
