# SPDX-License-Identifier: Apache-2.0
"""PCI flavors as a viewer sees them, or does not."""

from typing import Any

from pci_passthrough import objects
from pci_passthrough.api import microversion
from pci_passthrough.api import request as request_mod
from pci_passthrough.api import responses
from pci_passthrough.store.pci_flavors import lookup

_FIELDS = (
    'uuid',
    'name',
    'description',
    'match',
    'vnic_type',
    'numa_policy',
    'is_public',
    'state',
    'generation',
)


def get(
    request: request_mod.ApiRequest, pci_flavor: str, rule: str | None = None
) -> objects.PciFlavor:
    """Return a PCI flavor that the viewer sees.

    :param pci_flavor: UUID or name.
    :param rule: the policy for what the viewer wants to do with it; None
        means that to see it is enough.
    :raises PciFlavorNotFound: there is none, or the viewer does not see it.
    :raises Forbidden: the policy does not allow it.
    """
    viewer = request.viewer
    flavor = lookup.get(
        request.backends.database,
        pci_flavor,
        None if viewer.sees_all else viewer.project_id,
    )
    if rule is not None:
        viewer.check(rule, flavor.project_id)
    return flavor


def view(
    flavor: objects.PciFlavor, request: request_mod.ApiRequest
) -> dict[str, Any]:
    """Return a PCI flavor as JSON, as far as the viewer may see it."""
    members = {name: getattr(flavor, name) for name in _FIELDS}
    members['created_at'] = responses.time(flavor.created_at)
    members['updated_at'] = responses.time(flavor.updated_at)
    if request.viewer.sees_all:
        members['project_id'] = flavor.project_id
        members['access'] = sorted(flavor.access)
        if microversion.includes(request.api_version, '1.4'):
            members['origin'] = flavor.get('origin')
            members['aggregate_metadata'] = flavor.get('aggregate_metadata')
    return members


def tag(flavor: objects.PciFlavor) -> str:
    """Return the ETag of a PCI flavor's current state."""
    return f'{flavor.uuid}-{flavor.generation}'
