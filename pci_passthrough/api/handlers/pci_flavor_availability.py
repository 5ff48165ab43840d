# SPDX-License-Identifier: Apache-2.0
"""The availability of PCI flavors: in one word, or in numbers."""

from collections.abc import Sequence
import dataclasses
from typing import Any

from werkzeug import wrappers

from pci_passthrough import objects
from pci_passthrough.api import microversion
from pci_passthrough.api import request as request_mod
from pci_passthrough.api import responses
from pci_passthrough.api.backends import Thresholds
from pci_passthrough.api.handlers import pci_flavor_view
from pci_passthrough.api.policies import pci_flavor as policy
from pci_passthrough.objects import fields
from pci_passthrough.store.views import availability


def show(
    request: request_mod.ApiRequest, pci_flavor: str
) -> wrappers.Response:
    """Show a PCI flavor's availability; to operators, with numbers."""
    flavor = pci_flavor_view.get(request, pci_flavor)
    count = request.query['count']
    request.viewer.check_count(
        count, policy.AVAILABILITY_COUNTS, flavor.project_id
    )
    shows_resources = microversion.includes(request.api_version, '1.3')
    shows_states = microversion.includes(request.api_version, '1.4')
    sees_counts = request.viewer.sees_counts(flavor.project_id)
    [supply] = _supplies(
        request,
        [flavor],
        count,
        by_resource=shows_resources,
        by_state=shows_states and sees_counts,
    )
    body: dict[str, Any] = {
        'pci_flavor': flavor.uuid,
        'name': flavor.name,
        'count': count,
        'availability': _level(flavor, supply, request.backends.thresholds),
    }
    if shows_resources:
        body['resources'] = [
            {
                **dataclasses.asdict(resource),
                'availability': _level(
                    flavor, share, request.backends.thresholds
                ),
                **_numbers(share, sees_counts),
            }
            for resource, share in supply.resources.items()
            # A pool key may have no device any more.
            if share.hosts
        ]
    if sees_counts:
        body |= {
            **_numbers(supply, sees_counts),
            'requests': supply.requests,
            'hosts': [
                {
                    'host': host.host,
                    'free': host.free,
                    'total': host.total,
                    'requests': host.requests,
                    **({'states': host.states} if shows_states else {}),
                }
                for host in supply.hosts
            ],
        }
    return responses.of(body)


def levels(
    request: request_mod.ApiRequest, flavors: Sequence[objects.PciFlavor]
) -> dict[str, str]:
    """Return the availability of PCI flavors, in one word each, by UUID."""
    thresholds = request.backends.thresholds
    supplies = _supplies(request, flavors, 1)
    return {
        flavor.uuid: _level(flavor, supply, thresholds)
        for flavor, supply in zip(flavors, supplies, strict=True)
    }


def _supplies(
    request: request_mod.ApiRequest,
    flavors: Sequence[objects.PciFlavor],
    count: int,
    **parts: bool,
) -> list[availability.Availability]:
    return availability.get(
        request.backends.database,
        request.backends.limits,
        flavors,
        count,
        **parts,
        aggregates=request.backends.aggregates_for(*flavors),
    )


def _numbers(
    supply: availability.Availability, sees_counts: bool
) -> dict[str, int]:
    if not sees_counts:
        return {}
    return {'free': supply.free, 'total': supply.total}


def _level(
    flavor: objects.PciFlavor,
    supply: availability.Availability,
    thresholds: Thresholds,
) -> str:
    """Return how available a PCI flavor is to new requests, in one word."""
    if not supply.requests or flavor.state == fields.PciFlavorState.DISABLED:
        return 'none'
    if (
        supply.requests <= thresholds.requests
        or supply.free * 100 <= supply.total * thresholds.percent
    ):
        return 'low'
    return 'ok'
