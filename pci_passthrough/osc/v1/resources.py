# SPDX-License-Identifier: Apache-2.0
"""What the devices of a PCI flavor are, and how much of them is left."""

from collections.abc import Mapping
import functools
from typing import Any

from pci_passthrough.osc import client
from pci_passthrough.osc import errors
from pci_passthrough.osc.v1 import columns

_FORBIDDEN = 403


def in_words(resource: Mapping[str, Any]) -> str:
    """Return one resource as a line.

    For example: ``usb crypto token, signs with ed25519 (see wiki): ok``.
    """
    what = ' '.join(
        filter(None, (resource['resource_type'], resource['type']))
    )
    if resource['description']:
        what += f', {resource["description"]}'
    if resource['information']:
        what += f' ({resource["information"]})'
    left = resource['availability']
    if 'free' in resource:
        left += f', {resource["free"]} of {resource["total"]} free'
    return f'{what}: {left}'


#: Not in answers of services before microversion 1.3.
SHOW_COLUMNS: columns.Formatters = {
    'availability': columns.plain,
    'resources': functools.partial(columns.Lines, line=in_words),
}


def of_pci_flavor(
    service: client.Client, flavor: Mapping[str, Any]
) -> dict[str, Any]:
    """Return availability and resources of a PCI flavor.

    :returns: without what the user may not see, or the service does not know.
    """
    try:
        supply = service.availability(flavor['uuid'], 1)
    except errors.RequestFailed as error:
        if error.status != _FORBIDDEN:
            raise
        return {}
    return {name: supply[name] for name in SHOW_COLUMNS if name in supply}
