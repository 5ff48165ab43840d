# SPDX-License-Identifier: Apache-2.0
"""Replaces the test of PCI devices at the beginning of Nova's claims."""

from collections.abc import Callable
import functools
from typing import Any

from pci_passthrough.nova_plugin import loaded
from pci_passthrough.nova_plugin import requests


def wrap_test_pci(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Replace ``nova.compute.claims.Claim._test_pci``.

    nova-compute calls it before it claims devices for a new instance or a
    move. The replacement says why devices for PCI flavors are missing. It
    also fails if the flavor of a new instance asks for PCI flavors and the
    requests do not: then a nova-api without the Nova plugin has made the
    requests. An instance that exists goes on as it was.
    """

    @functools.wraps(original)
    def _test_pci(claim: Any) -> Any:
        # Of a move: the new flavor.
        flavor = getattr(claim, 'flavor', None) or loaded.attribute(
            claim.instance, 'flavor'
        )
        pci_requests = claim._pci_requests
        if (
            requests.lack_pci_flavors(flavor, pci_requests)
            and loaded.attribute(claim.instance, 'launched_at') is None
        ):
            return (
                'the flavor asks for PCI flavors and the requests do not: '
                'a nova-api without pci_passthrough has made them'
            )
        reason = original(claim)
        wanted = requests.for_pci_flavors(
            pci_requests.requests if pci_requests else ()
        )
        if reason is None or not wanted:
            return reason
        tracker = claim.tracker.pci_tracker
        return tracker.own_supply.refusal(wanted) or reason

    return _test_pci
