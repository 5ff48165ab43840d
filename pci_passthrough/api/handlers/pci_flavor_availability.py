# SPDX-License-Identifier: Apache-2.0
"""Whether devices of PCI flavors can be had."""

from collections.abc import Sequence
from typing import Any

from werkzeug import wrappers

from pci_passthrough import objects
from pci_passthrough.api import backends
from pci_passthrough.api import errors
from pci_passthrough.api import request as request_mod
from pci_passthrough.api import responses
from pci_passthrough.api.handlers import pci_flavor_view
from pci_passthrough.api.policies import pci_flavor as policy
from pci_passthrough.objects import fields
from pci_passthrough.store.views import availability

#: Most devices of a request that projects may ask about: what a server has.
_MOST_ASKED = 8


def show(
    request: request_mod.ApiRequest, pci_flavor: str
) -> wrappers.Response:
    """Answer with a word, and to operators with numbers."""
    flavor = pci_flavor_view.visible(request, pci_flavor)
    count = request.query['count']
    sees_counts = request.may(policy.AVAILABILITY_COUNTS, flavor.project_id)
    if not sees_counts:
        must_be_coarse(count, policy.AVAILABILITY_COUNTS)
    [found] = _find(request, [flavor], count)
    body: dict[str, Any] = {
        'pci_flavor': flavor.uuid,
        'name': flavor.name,
        'count': count,
        'availability': _level(flavor, found, request.backends.thresholds),
    }
    if sees_counts:
        body |= {
            'free': found.free,
            'total': found.total,
            'requests': found.requests,
            'hosts': [
                {
                    'host': one.host,
                    'free': one.free,
                    'total': one.total,
                    'requests': one.requests,
                }
                for one in found.hosts
            ],
        }
    return responses.of(body)


def must_be_coarse(count: int, rule: str) -> None:
    """Let nobody find out numbers by asking about one count after the other.

    :param rule: the policy of those who may know them.
    :raises ApiError: 403
    """
    if count > _MOST_ASKED:
        raise errors.ApiError(
            403,
            f'The policy {rule} does not allow you to ask about more than '
            f'{_MOST_ASKED} devices at a time.',
        )


def levels(
    request: request_mod.ApiRequest, flavors: Sequence[objects.PciFlavor]
) -> dict[str, str]:
    """Return the availability of PCI flavors, in a word, by UUID."""
    thresholds = request.backends.thresholds
    found = _find(request, flavors, 1)
    return {
        flavor.uuid: _level(flavor, one, thresholds)
        for flavor, one in zip(flavors, found, strict=True)
    }


def _find(
    request: request_mod.ApiRequest,
    flavors: Sequence[objects.PciFlavor],
    count: int,
) -> list[availability.Availability]:
    return availability.get(
        request.backends.database,
        request.backends.catalog,
        request.backends.limits,
        flavors,
        count,
    )


def _level(
    flavor: objects.PciFlavor,
    found: availability.Availability,
    thresholds: backends.Thresholds,
) -> str:
    """Return how available a PCI flavor is; to new requests, that is."""
    if not found.requests or flavor.state == fields.PciFlavorState.DISABLED:
        return 'none'
    if (
        found.requests <= thresholds.requests
        or found.free * 100 <= found.total * thresholds.percent
    ):
        return 'low'
    return 'ok'
