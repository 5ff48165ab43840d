# SPDX-License-Identifier: Apache-2.0
"""Requested changes of PCI flavors: whether they are allowed and current.

Handlers that make a change and those of dry runs check it here alike.
"""

from collections.abc import Mapping
from typing import Any
from typing import NamedTuple

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.api import errors
from pci_passthrough.api import microversion
from pci_passthrough.api import preconditions
from pci_passthrough.api import request as request_mod
from pci_passthrough.api.handlers import pci_flavor_view
from pci_passthrough.api.policies import pci_flavor as policy
from pci_passthrough.api.viewer import Viewer
from pci_passthrough.specs import aggregate_metadata


class NewPciFlavor(NamedTuple):
    """The PCI flavor that a request wants to create.

    :ivar project_id: the owner; None means that it belongs to no project.
    :ivar values: the other fields.
    """

    name: str
    project_id: str | None
    values: dict[str, Any]


class Change(NamedTuple):
    """A change or deletion of a PCI flavor that the policies allow.

    :ivar before: the PCI flavor as it is.
    :ivar values: the fields to change.
    :ivar generation: the generation that the change is for; None means any.
    """

    before: objects.PciFlavor
    values: dict[str, Any]
    generation: int | None

    def check_current(self) -> None:
        """Check that the change is for the PCI flavor as it is.

        :raises PciFlavorChanged: it is for another generation.
        """
        if self.generation not in (None, self.before.generation):
            raise exception.PciFlavorChanged(self.before.name)


def check_create(request: request_mod.ApiRequest) -> NewPciFlavor:
    """Return the PCI flavor that a request wants to create.

    :raises Forbidden: the policies do not allow it.
    """
    viewer = request.viewer
    values = dict(request.body)
    project_id = viewer.project_id
    if 'project_id' in values:
        project_id = values.pop('project_id')
        viewer.check(policy.CREATE_FOR_PROJECT)
    name = values.pop('name')
    if values.get('is_public', True):
        viewer.check(policy.PUBLICIZE, project_id)
    if values.get('access'):
        viewer.check(policy.ACCESS_ADD, project_id)
    _check_aggregates(request, project_id, None)
    return NewPciFlavor(name, project_id, values)


def check_update(request: request_mod.ApiRequest, pci_flavor: str) -> Change:
    """Return the change that a request wants to make.

    :param pci_flavor: UUID or name.
    :raises PciFlavorNotFound: there is none, or the viewer does not see it.
    :raises Forbidden: the policies do not allow the change.
    :raises PciFlavorChanged: If-Match names another state, or the change is
        about visibility and for another generation.
    """
    before = pci_flavor_view.get(request, pci_flavor, policy.UPDATE)
    if request.query.get('force'):
        request.viewer.check(policy.FORCE, before.project_id)
    _check_aggregates(
        request, before.project_id, before.get('aggregate_metadata')
    )
    named = named_generation(request, before)
    values = dict(request.body)
    change = Change(before, values, values.pop('generation', named))
    if values.keys() & {'is_public', 'access'}:
        _check_visibility(request.viewer, before, values)
        change.check_current()
        # The policies allow it for the visibility as it is, for no other.
        return change._replace(generation=before.generation)
    return change


def check_delete(request: request_mod.ApiRequest, pci_flavor: str) -> Change:
    """Return the deletion that a request wants to make.

    :param pci_flavor: UUID or name.
    :raises PciFlavorNotFound: there is none, or the viewer does not see it.
    :raises Forbidden: the policies do not allow the deletion.
    :raises PciFlavorChanged: If-Match names another state.
    """
    before = pci_flavor_view.get(request, pci_flavor, policy.DELETE)
    if request.query.get('force'):
        request.viewer.check(policy.FORCE, before.project_id)
    return Change(before, {}, named_generation(request, before))


def named_generation(
    request: request_mod.ApiRequest, flavor: objects.PciFlavor
) -> int | None:
    """Return the generation that If-Match names; None means that it does not.

    :raises PciFlavorChanged: it names another one than the current.
    """
    is_named = preconditions.check_if_match(
        request,
        pci_flavor_view.tag(flavor),
        exception.PciFlavorChanged(flavor.name),
    )
    return flavor.generation if is_named else None


def _check_aggregates(
    request: request_mod.ApiRequest,
    owner: str | None,
    before: Mapping[str, Any] | None,
) -> None:
    """Check that a request may restrict a PCI flavor to host aggregates.

    :param before: the conditions that it has.
    :raises MalformedRequest: the microversion has no such conditions.
    :raises Forbidden: the policies do not allow it.
    :raises InvalidPciFlavor: no claim could honour it.
    """
    values = request.body
    if aggregate_metadata.FIELD not in values:
        return
    if not microversion.includes(request.api_version, '1.4'):
        raise errors.MalformedRequest(
            f'Body: {aggregate_metadata.FIELD} needs microversion 1.4.'
        )
    if values[aggregate_metadata.FIELD] != before:
        request.viewer.check(policy.AGGREGATE_METADATA, owner)
        request.backends.aggregates.check_usable(values)


def _check_visibility(
    viewer: Viewer, before: objects.PciFlavor, values: Mapping[str, Any]
) -> None:
    """Check that a viewer may change which projects see a PCI flavor.

    :raises Forbidden: the policies do not allow it.
    """
    if values.get('is_public') and not before.is_public:
        viewer.check(policy.PUBLICIZE, before.project_id)
    access = set(values.get('access', before.access))
    if access - set(before.access):
        viewer.check(policy.ACCESS_ADD, before.project_id)
    if set(before.access) - access:
        viewer.check(policy.ACCESS_REMOVE, before.project_id)
