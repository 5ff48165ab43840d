# SPDX-License-Identifier: Apache-2.0
"""The projects that a PCI flavor is shared with."""

from werkzeug import wrappers

from pci_passthrough.api import request as request_mod
from pci_passthrough.api import responses
from pci_passthrough.api.handlers import pci_flavor_change
from pci_passthrough.api.handlers import pci_flavor_view
from pci_passthrough.api.policies import pci_flavor as policy


def index(
    request: request_mod.ApiRequest, pci_flavor: str
) -> wrappers.Response:
    """List the projects."""
    flavor = pci_flavor_view.get(request, pci_flavor, policy.ACCESS_LIST)
    return responses.of({'access': sorted(flavor.access)})


def add(
    request: request_mod.ApiRequest, pci_flavor: str, project_id: str
) -> wrappers.Response:
    """Share a PCI flavor with a project, unless it is already shared."""
    return _share(request, pci_flavor, project_id, policy.ACCESS_ADD, True)


def remove(
    request: request_mod.ApiRequest, pci_flavor: str, project_id: str
) -> wrappers.Response:
    """Stop sharing a PCI flavor with a project, if it is shared."""
    return _share(request, pci_flavor, project_id, policy.ACCESS_REMOVE, False)


def _share(
    request: request_mod.ApiRequest,
    pci_flavor: str,
    project_id: str,
    rule: str,
    shared: bool,
) -> wrappers.Response:
    """Share a PCI flavor with a project, or stop sharing it.

    :param rule: the policy for it.
    :param shared: whether the project may use it afterwards.
    """
    flavor = pci_flavor_view.get(request, pci_flavor, rule)
    generation = pci_flavor_change.named_generation(request, flavor)
    request.backends.conductor.share_pci_flavor(
        flavor.uuid,
        project_id,
        shared,
        request.viewer.actor,
        generation,
    )
    return responses.empty()
