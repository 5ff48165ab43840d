# SPDX-License-Identifier: Apache-2.0
"""Warnings about PCI flavors that are valid, but probably not as meant."""

from typing import Any

from pci_passthrough import objects
from pci_passthrough.api import microversion
from pci_passthrough.api import request as request_mod
from pci_passthrough.store.views import whole_cards

#: The stable code of the warning about whole cards and slices.
_WHOLE_AND_SLICES = 'pci_flavor.whole_and_slices'


def of_flavor(
    request: request_mod.ApiRequest, flavor: objects.PciFlavor
) -> dict[str, Any]:
    """Return the member ``warnings`` about a PCI flavor.

    :returns: empty if the viewer may not see pools, which name hosts, or if
        the request is for a microversion without warnings.
    """
    if not _are_shown(request):
        return {}
    return _warnings(whole_cards.of_flavor(request.backends.database, flavor))


def of_cards(
    request: request_mod.ApiRequest,
    cards: whole_cards.WholeAndSlices | None,
) -> dict[str, Any]:
    """Return the same as ``of_flavor`` if the cards are known already."""
    return _warnings(cards) if _are_shown(request) else {}


def _are_shown(request: request_mod.ApiRequest) -> bool:
    return (
        microversion.includes(request.api_version, '1.1')
        and request.viewer.sees_pools
    )


def _warnings(cards: whole_cards.WholeAndSlices | None) -> dict[str, Any]:
    warnings = []
    if cards is not None:
        warnings.append({'code': _WHOLE_AND_SLICES, 'text': str(cards)})
    return {'warnings': warnings}
