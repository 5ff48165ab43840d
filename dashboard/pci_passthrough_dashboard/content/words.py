# SPDX-License-Identifier: Apache-2.0
"""The words of the API, as people read them. Pure."""

from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any
from typing import Final

from django.utils.translation import gettext_lazy as _

from pci_passthrough.osc import match as match_text

AVAILABILITY: Final = {
    'ok': _('Plenty'),
    'low': _('Few'),
    'none': _('None left'),
}

FLAVOR_STATE: Final = {
    'active': _('Active'),
    'deprecated': _('Deprecated: choose another one'),
    'disabled': _('Disabled: takes no new requests'),
}


def availability(supply: Any) -> Any:
    """Return how many devices are left, in words.

    :param supply: a PCI flavor of a list, or its availability.
    """
    return AVAILABILITY.get(supply.availability, _('Unknown'))


def flavor_state(flavor: Any) -> Any:
    """Return the state of a PCI flavor, and what it means."""
    return FLAVOR_STATE.get(flavor.state, flavor.state)


def match(terms: Iterable[Mapping[str, Any]]) -> str:
    """Return a match expression with one alternative on each line."""
    return '\n'.join(map(match_text.format_term, terms))


DEVICE_STATE: Final = {
    'available': _('available'),
    'claimed': _('claimed'),
    'allocated': _('allocated'),
    'cleaning': _('cleaning'),
    'quarantined': _('quarantined'),
    'disabled': _('disabled'),
    'missing': _('missing'),
    'refused': _('refused by its host'),
    'conflict': _('in conflict'),
}


def device(item: Any) -> str:
    """Return what a device or a pool is, in the words of lspci."""
    if item.vendor_id is None:
        return str(item.resource_type)
    return f'{item.vendor_id}:{item.product_id} {item.dev_type or ""}'


def device_state(item: Any) -> Any:
    """Return the state of a device."""
    return DEVICE_STATE.get(item.state, item.state)


def device_reason(item: Any) -> Any:
    """Return why a device is not available; None if nobody said so."""
    return (
        item.refusal
        or item.conflict
        or item.disabled_reason
        or item.quarantine_reason
        or item.preparation_text
    )


def value(item: Any) -> Any:
    """Return a value of the API without the brackets of Python."""
    if isinstance(item, dict):
        return ', '.join(f'{key}={text}' for key, text in item.items())
    if isinstance(item, list):
        return ', '.join(map(str, item))
    return item
