# SPDX-License-Identifier: Apache-2.0
"""With which projects a PCI flavor is shared."""

from werkzeug import wrappers

from pci_passthrough import exception
from pci_passthrough.api import errors
from pci_passthrough.api import preconditions
from pci_passthrough.api import request as request_mod
from pci_passthrough.api import responses
from pci_passthrough.api.handlers import pci_flavor_view
from pci_passthrough.api.policies import pci_flavor as policy


def index(
    request: request_mod.ApiRequest, pci_flavor: str
) -> wrappers.Response:
    """List the projects."""
    flavor = pci_flavor_view.visible(request, pci_flavor)
    request.authorize(policy.ACCESS_LIST, flavor.project_id)
    return responses.of({'access': sorted(flavor.access)})


def add(
    request: request_mod.ApiRequest, pci_flavor: str, project_id: str
) -> wrappers.Response:
    """Share it with a project; nothing happens if it is already."""
    return _share(request, pci_flavor, project_id, policy.ACCESS_ADD, True)


def remove(
    request: request_mod.ApiRequest, pci_flavor: str, project_id: str
) -> wrappers.Response:
    """Share it with a project no longer; nothing happens if it is not."""
    return _share(request, pci_flavor, project_id, policy.ACCESS_REMOVE, False)


def _share(
    request: request_mod.ApiRequest,
    pci_flavor: str,
    project_id: str,
    rule: str,
    shared: bool,
) -> wrappers.Response:
    flavor = pci_flavor_view.visible(request, pci_flavor)
    request.authorize(rule, flavor.project_id)
    changed = exception.PciFlavorChanged(flavor.name)
    tag = pci_flavor_view.tag(flavor)
    is_based = preconditions.names(request, tag, changed)
    try:
        request.backends.conductor.share_pci_flavor(
            flavor.uuid,
            project_id,
            shared,
            request.actor,
            flavor.generation if is_based else None,
        )
    except exception.PciFlavorChanged as error:
        raise errors.ApiError(412, error.text, error.code) from error
    return responses.empty()
