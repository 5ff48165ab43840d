# SPDX-License-Identifier: Apache-2.0
"""PCI flavors: reading and changing them."""

from collections.abc import Mapping
from typing import Any

from werkzeug import wrappers

from pci_passthrough import objects
from pci_passthrough.api import errors
from pci_passthrough.api import microversion
from pci_passthrough.api import request as request_mod
from pci_passthrough.api import responses
from pci_passthrough.api.handlers import pci_flavor_availability
from pci_passthrough.api.handlers import pci_flavor_change
from pci_passthrough.api.handlers import pci_flavor_view
from pci_passthrough.api.handlers import pci_flavor_warnings
from pci_passthrough.api.policies import pci_flavor as policy
from pci_passthrough.api.schemas import pci_flavor as schema
from pci_passthrough.store.pci_flavors import lookup


def index(request: request_mod.ApiRequest) -> wrappers.Response:
    """List the PCI flavors that the viewer sees."""
    query, viewer = request.query, request.viewer
    _check_version(request)
    if request.given('project_id', 'origin'):
        viewer.check(policy.ALL_PROJECTS)
    flavors = [
        flavor
        for flavor in lookup.get_all(
            request.backends.database,
            None if viewer.sees_all else viewer.project_id,
            query.get('origin'),
        )
        if _is_wanted(flavor, query)
    ]
    _sort(flavors, query.get('sort', 'name:asc'))
    shown, last = responses.after_marker(
        flavors, lambda flavor: (flavor.uuid, flavor.name), request
    )
    views = [pci_flavor_view.view(flavor, request) for flavor in shown]
    if query.get('availability') and viewer.sees_availability:
        levels = pci_flavor_availability.levels(request, shown)
        for view in views:
            view['availability'] = levels[view['uuid']]
    return responses.page(request, 'pci_flavors', views, last)


def create(request: request_mod.ApiRequest) -> wrappers.Response:
    """Create a PCI flavor."""
    new = pci_flavor_change.check_create(request)
    flavor = request.backends.conductor.create_pci_flavor(
        *new, request.viewer.actor
    )
    return responses.created(
        _with_warnings(request, flavor),
        pci_flavor_view.tag(flavor),
        f'{request.root_url}v1/pci-flavors/{flavor.uuid}',
    )


def show(
    request: request_mod.ApiRequest, pci_flavor: str
) -> wrappers.Response:
    """Show a PCI flavor."""
    flavor = pci_flavor_view.get(request, pci_flavor)
    view = pci_flavor_view.view(flavor, request)
    if microversion.includes(request.api_version, '1.4'):
        view |= pci_flavor_warnings.of_flavor(request, flavor)
    return responses.unless_known(
        request,
        view,
        pci_flavor_view.tag(flavor),
    )


def update(
    request: request_mod.ApiRequest, pci_flavor: str
) -> wrappers.Response:
    """Change a PCI flavor.

    :raises PreconditionRequired: the request names no state to change.
    """
    change = pci_flavor_change.check_update(request, pci_flavor)
    if not request.if_match and 'generation' not in request.body:
        raise errors.PreconditionRequired(
            'Name the state of the PCI flavor that the change is based on, so '
            'that it overwrites no change of somebody else: its ETag in '
            'If-Match, or its generation in the body. If-Match: * changes '
            'any state.'
        )
    after = request.backends.conductor.update_pci_flavor(
        change.before.uuid,
        change.values,
        change.generation,
        request.query.get('force', False),
        request.viewer.actor,
    )
    return responses.of(
        _with_warnings(request, after), pci_flavor_view.tag(after)
    )


def delete(
    request: request_mod.ApiRequest, pci_flavor: str
) -> wrappers.Response:
    """Delete a PCI flavor."""
    change = pci_flavor_change.check_delete(request, pci_flavor)
    request.backends.conductor.delete_pci_flavor(
        change.before.uuid,
        change.generation,
        request.query.get('force', False),
        request.viewer.actor,
    )
    return responses.empty()


def _with_warnings(
    request: request_mod.ApiRequest, flavor: objects.PciFlavor
) -> dict[str, Any]:
    """Return the view of a PCI flavor that was just created or changed."""
    return {
        **pci_flavor_view.view(flavor, request),
        **pci_flavor_warnings.of_flavor(request, flavor),
    }


def _check_version(request: request_mod.ApiRequest) -> None:
    """Check that the microversion has the parameters of a query for a list.

    :raises MalformedRequest: it has not.
    """
    if 'origin' in request.query and not microversion.includes(
        request.api_version, '1.4'
    ):
        raise errors.MalformedRequest(
            'Query: the parameter origin needs microversion 1.4.'
        )


def _is_wanted(flavor: objects.PciFlavor, query: Mapping[str, Any]) -> bool:
    """Return whether a PCI flavor passes the query's filters."""
    return all(
        getattr(flavor, name) == query[name]
        for name in ('name', 'is_public', 'vnic_type', 'project_id')
        if name in query
    ) and ('state' not in query or flavor.state in query['state'])


def _sort(flavors: list[objects.PciFlavor], sort: str) -> None:
    """Sort PCI flavors in place.

    :param sort: ``key:direction``, comma between several.
    :raises MalformedRequest: there is no such key or direction.
    """
    for part in reversed(sort.split(',')):
        key, _, direction = part.partition(':')
        if key not in schema.SORT_KEYS or direction not in ('', 'asc', 'desc'):
            raise errors.MalformedRequest(
                f'Query: sort: {part!r} is not KEY:DIRECTION; the keys are '
                f'{", ".join(schema.SORT_KEYS)}, the directions asc and desc.'
            )

        def value(flavor: objects.PciFlavor, key: str = key) -> str:
            # Times are None or comparable, and sort as text.
            return str(getattr(flavor, key) or '')

        flavors.sort(key=value, reverse=direction == 'desc')
