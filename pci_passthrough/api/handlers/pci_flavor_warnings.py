# SPDX-License-Identifier: Apache-2.0
"""Warnings about PCI flavors that are valid, but probably not as meant."""

from typing import Any
from typing import Final

from pci_passthrough import objects
from pci_passthrough.api import microversion
from pci_passthrough.api import request as request_mod
from pci_passthrough.objects import fields
from pci_passthrough.store.pci_flavors import groups
from pci_passthrough.store.views import whole_cards

#: The stable code of the warning about whole cards and slices.
_WHOLE_AND_SLICES: Final = 'pci_flavor.whole_and_slices'

#: Since microversion 1.4: that of a name that hosts use for other devices.
_GROUP_DIFFERS: Final = 'pci_flavor.group_differs'

#: Since microversion 1.4: that of a deletion that does not last.
_GROUP_REPORTED: Final = 'pci_flavor.group_reported'

_COMES_BACK: Final = (
    'The PCI flavor was made from a group of hosts. If hosts still report the '
    'group, it is made again: disable it instead.'
)


def of_flavor(
    request: request_mod.ApiRequest, flavor: objects.PciFlavor
) -> dict[str, Any]:
    """Return the member ``warnings`` about a PCI flavor.

    :returns: empty if the viewer may not see pools, which name hosts, or if
        the request is for a microversion without warnings.
    """
    if not _are_shown(request):
        return {}
    cards = whole_cards.of_flavor(request.backends.database, flavor)
    return _warnings(*_of_cards(cards), *_of_groups(request, flavor))


def of_change(
    request: request_mod.ApiRequest,
    before: objects.PciFlavor | None,
    after: objects.PciFlavor | None,
    cards: whole_cards.WholeAndSlices | None,
) -> dict[str, Any]:
    """Return the same about a change that is not made yet.

    :param before: None means that the PCI flavor is created.
    :param after: None means that it is deleted.
    :param cards: the cards that it would match as a whole and in slices.
    """
    if not _are_shown(request):
        return {}
    if after is not None:
        return _warnings(*_of_cards(cards), *_of_groups(request, after))
    return _warnings(*_of_deletion(request, before))


def for_nics(request: request_mod.ApiRequest) -> dict[str, Any]:
    """Return the same about requests for NICs, whose vnic_type decides."""
    return _warnings() if _are_shown(request) else {}


def _are_shown(request: request_mod.ApiRequest) -> bool:
    return (
        microversion.includes(request.api_version, '1.1')
        and request.viewer.sees_pools
    )


def _warnings(*warnings: tuple[str, str]) -> dict[str, Any]:
    return {
        'warnings': [{'code': code, 'text': text} for code, text in warnings]
    }


def _of_cards(
    cards: whole_cards.WholeAndSlices | None,
) -> list[tuple[str, str]]:
    return [] if cards is None else [(_WHOLE_AND_SLICES, str(cards))]


def _of_groups(
    request: request_mod.ApiRequest, flavor: objects.PciFlavor
) -> list[tuple[str, str]]:
    if not _has_groups(request):
        return []
    clashes = groups.of_flavor(request.backends.database, flavor)
    return [(_GROUP_DIFFERS, f'{clash}.') for clash in clashes]


def _of_deletion(
    request: request_mod.ApiRequest, flavor: objects.PciFlavor | None
) -> list[tuple[str, str]]:
    is_made = flavor and flavor.origin == fields.PciFlavorOrigin.GROUP
    if not is_made or not _has_groups(request):
        return []
    return [(_GROUP_REPORTED, _COMES_BACK)]


def _has_groups(request: request_mod.ApiRequest) -> bool:
    return request.backends.flavor_from_group and microversion.includes(
        request.api_version, '1.4'
    )
