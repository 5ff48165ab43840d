# SPDX-License-Identifier: Apache-2.0
"""What the devices of a PCI flavor are, and how much of them is left."""

from collections.abc import Mapping
import functools
from typing import Any

from openstack import exceptions

from pci_passthrough.osc.v1 import columns
from pci_passthrough.sdk import pci_flavor
from pci_passthrough.sdk import proxy


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
    service: proxy.Proxy, flavor: pci_flavor.PciFlavor
) -> dict[str, Any]:
    """Return availability and resources of a PCI flavor.

    :returns: without what the user may not see, or the service does not know.
    """
    try:
        supply = service.get_pci_flavor_availability(flavor).fields()
    except exceptions.ForbiddenException:
        return {}
    return {name: supply[name] for name in SHOW_COLUMNS if name in supply}
