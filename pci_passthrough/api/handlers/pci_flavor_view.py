# SPDX-License-Identifier: Apache-2.0
"""How PCI flavors look, and to whom."""

from typing import Any

from werkzeug import wrappers

from pci_passthrough import objects
from pci_passthrough.api import request as request_mod
from pci_passthrough.api import responses
from pci_passthrough.api.policies import pci_flavor as policy
from pci_passthrough.store.pci_flavors import editing


def visible(
    request: request_mod.ApiRequest, pci_flavor: str
) -> objects.PciFlavor:
    """Return a PCI flavor that the asking project may know of.

    :param pci_flavor: UUID or name.
    :raises: PciFlavorNotFound
    """
    sees_all = request.may(policy.ALL_PROJECTS)
    return editing.get(
        request.backends.database,
        pci_flavor,
        None if sees_all else request.context.project_id,
    )


def view(flavor: objects.PciFlavor, *, with_owner: bool) -> dict[str, Any]:
    """Return a PCI flavor as JSON has it."""
    shown = {
        name: getattr(flavor, name)
        for name in (
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
    }
    shown['created_at'] = responses.time(flavor.created_at)
    shown['updated_at'] = responses.time(flavor.updated_at)
    if with_owner:
        shown['project_id'] = flavor.project_id
        shown['access'] = sorted(flavor.access)
    return shown


def one(
    request: request_mod.ApiRequest,
    flavor: objects.PciFlavor,
    status: int = 200,
) -> wrappers.Response:
    """Return an answer with a PCI flavor and its ETag."""
    with_owner = request.may(policy.ALL_PROJECTS)
    response = responses.of(view(flavor, with_owner=with_owner), status)
    response.set_etag(tag(flavor))
    return response


def tag(flavor: objects.PciFlavor) -> str:
    """Return the ETag of a PCI flavor as it is."""
    return f'{flavor.uuid}-{flavor.generation}'
