# SPDX-License-Identifier: Apache-2.0
"""Lets the PCI device tracker ask the virt driver which guests may run.

Nova's tracker does not know the driver. A server that was deleted while its
nova-compute was down leaves a running guest behind, until a periodic task of
Nova ends it; ``repair`` keeps the guest's devices as long.
"""

from collections.abc import Callable
import functools
from typing import Any

from pci_passthrough.nova_plugin.compat import driver as virt_driver


def wrap_setup_pci_tracker(original: Callable[..., Any]) -> Callable[..., Any]:
    """Replace ``ResourceTracker._setup_pci_tracker``.

    nova-compute calls it at its start, for each node of its host.
    """

    @functools.wraps(original)
    def _setup_pci_tracker(tracker: Any, *args: Any, **kwargs: Any) -> None:
        original(tracker, *args, **kwargs)
        ask = getattr(tracker.pci_tracker, 'ask_for_guests', None)
        if ask is not None:
            ask(functools.partial(virt_driver.may_run, tracker.driver))

    return _setup_pci_tracker
