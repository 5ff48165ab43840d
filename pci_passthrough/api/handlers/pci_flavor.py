# SPDX-License-Identifier: Apache-2.0
"""PCI flavors: reading and changing them."""

from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
from typing import Any

from werkzeug import wrappers

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.api import errors
from pci_passthrough.api import preconditions
from pci_passthrough.api import request as request_mod
from pci_passthrough.api import responses
from pci_passthrough.api.handlers import pci_flavor_availability
from pci_passthrough.api.handlers import pci_flavor_effect
from pci_passthrough.api.handlers import pci_flavor_view
from pci_passthrough.api.policies import pci_device as device_policy
from pci_passthrough.api.policies import pci_flavor as policy
from pci_passthrough.api.schemas import pci_flavor as schema
from pci_passthrough.store.pci_flavors import editing
from pci_passthrough.store.pci_flavors import validation


def index(request: request_mod.ApiRequest) -> wrappers.Response:
    """List those that the project may use."""
    query = request.query
    sees_all = request.may(policy.ALL_PROJECTS)
    if 'project_id' in query:
        request.authorize(policy.ALL_PROJECTS)
    found = [
        flavor
        for flavor in editing.get_all(
            request.backends.database,
            None if sees_all else request.context.project_id,
        )
        if _is_wanted(flavor, query)
    ]
    _sort(found, query.get('sort', 'name:asc'))
    shown, last = responses.after_marker(
        found, lambda flavor: (flavor.uuid, flavor.name), request
    )
    views = [
        pci_flavor_view.view(flavor, with_owner=sees_all) for flavor in shown
    ]
    if query.get('availability') and request.may(policy.AVAILABILITY):
        levels = pci_flavor_availability.levels(request, shown)
        for one in views:
            one['availability'] = levels[one['uuid']]
    return responses.page(request, 'pci_flavors', views, last)


def create(request: request_mod.ApiRequest) -> wrappers.Response:
    """Create one, or tell what it would match."""
    body = dict(request.body)
    project_id = request.context.project_id
    if 'project_id' in body:
        project_id = body.pop('project_id')
        request.authorize(policy.CREATE_FOR_PROJECT)
    name = body.pop('name')
    if body.get('is_public', True):
        request.authorize(policy.PUBLICIZE, project_id)
    if body.get('access'):
        request.authorize(policy.ACCESS_ADD, project_id)
    if request.query.get('dry_run'):
        after = validation.new(name, project_id, body)
        return pci_flavor_effect.answer(request, None, after)
    with _conflicts_told(request):
        flavor = request.backends.conductor.create_pci_flavor(
            name, project_id, body, request.actor
        )
    response = pci_flavor_view.one(request, flavor, 201)
    response.headers['Location'] = (
        f'{request.root_url}v1/pci-flavors/{flavor.uuid}'
    )
    return response


def show(
    request: request_mod.ApiRequest, pci_flavor: str
) -> wrappers.Response:
    """Show one."""
    flavor = pci_flavor_view.visible(request, pci_flavor)
    response = pci_flavor_view.one(request, flavor)
    return preconditions.unless_known(
        request, response, pci_flavor_view.tag(flavor)
    )


def update(
    request: request_mod.ApiRequest, pci_flavor: str
) -> wrappers.Response:
    """Change one, or tell what a change would do."""
    before = pci_flavor_view.visible(request, pci_flavor)
    request.authorize(policy.UPDATE, before.project_id)
    _allow_force(request, before)
    changes = dict(request.body)
    base = _base(request, before, changes.pop('generation', None))
    decides_visibility = _allow_visibility(request, before, changes)
    dry_run = request.query.get('dry_run', False)
    if dry_run or decides_visibility:
        # What is told, and what is allowed, is so of what there is.
        if base not in (None, before.generation):
            raise _changed(request, exception.PciFlavorChanged(before.name))
    if dry_run:
        after = validation.changed(before, changes)
        return pci_flavor_effect.answer(request, before, after)
    if base is None and not request.if_match.star_tag:
        raise errors.ApiError(
            428,
            'Say which state of the PCI flavor the change is based on, so '
            "that nobody else's change is lost: its ETag in If-Match, or "
            'its generation in the body. If-Match: * is for whatever it is.',
            'pci_flavor.precondition_required',
        )
    with _conflicts_told(request):
        after = request.backends.conductor.update_pci_flavor(
            before.uuid,
            changes,
            before.generation if decides_visibility else base,
            request.query.get('force', False),
            request.actor,
        )
    return pci_flavor_view.one(request, after)


def delete(
    request: request_mod.ApiRequest, pci_flavor: str
) -> wrappers.Response:
    """Delete one, or tell what that would do."""
    before = pci_flavor_view.visible(request, pci_flavor)
    request.authorize(policy.DELETE, before.project_id)
    _allow_force(request, before)
    base = _base(request, before, None)
    if request.query.get('dry_run'):
        return pci_flavor_effect.answer(request, before, None)
    with _conflicts_told(request):
        request.backends.conductor.delete_pci_flavor(
            before.uuid,
            base,
            request.query.get('force', False),
            request.actor,
        )
    return responses.empty()


def _base(
    request: request_mod.ApiRequest,
    before: objects.PciFlavor,
    generation: int | None,
) -> int | None:
    """Return the generation that a change is based on, if that is said.

    :param generation: that the body names.
    :raises ApiError: 412 if If-Match names another one.
    """
    changed = exception.PciFlavorChanged(before.name)
    tag = pci_flavor_view.tag(before)
    if preconditions.names(request, tag, changed) and generation is None:
        return int(before.generation)
    return generation


def _changed(
    request: request_mod.ApiRequest, error: exception.PciFlavorChanged
) -> errors.ApiError:
    is_named = request.if_match and not request.if_match.star_tag
    return errors.ApiError(412 if is_named else 409, error.text, error.code)


@contextlib.contextmanager
def _conflicts_told(request: request_mod.ApiRequest) -> Iterator[None]:
    """Tell of conflicts what the asking one may know.

    How many devices are held, and by whom, is the operators' business.
    """
    sees_holders = request.may(device_policy.LIST)
    try:
        yield
    except exception.PciFlavorChanged as error:
        raise _changed(request, error) from error
    except exception.PciFlavorExists as error:
        if sees_holders:
            raise
        raise exception.PciFlavorExists(error.name) from error
    except exception.PciFlavorInUse as error:
        detail, holders = f'PCI flavor {error.name!r} is in use.', {}
        if sees_holders:
            detail = error.text
            holders = {
                'devices': error.holders,
                'instances': list(error.instances),
            }
        raise errors.ApiError(
            409, detail, error.code, {'holders': holders} if holders else {}
        ) from error


def _allow_force(
    request: request_mod.ApiRequest, flavor: objects.PciFlavor
) -> None:
    if request.query.get('force'):
        request.authorize(policy.FORCE, flavor.project_id)


def _allow_visibility(
    request: request_mod.ApiRequest,
    before: objects.PciFlavor,
    changes: Mapping[str, Any],
) -> bool:
    """Return whether a change is about who may use a PCI flavor.

    :raises ApiError: 403 if that takes more than to change it.
    """
    if changes.get('is_public') and not before.is_public:
        request.authorize(policy.PUBLICIZE, before.project_id)
    access = set(changes.get('access', before.access))
    if access - set(before.access):
        request.authorize(policy.ACCESS_ADD, before.project_id)
    if set(before.access) - access:
        request.authorize(policy.ACCESS_REMOVE, before.project_id)
    return 'is_public' in changes or 'access' in changes


def _is_wanted(flavor: objects.PciFlavor, query: Mapping[str, Any]) -> bool:
    return all(
        getattr(flavor, name) == query[name]
        for name in ('name', 'is_public', 'vnic_type', 'project_id')
        if name in query
    ) and ('state' not in query or flavor.state in query['state'])


def _sort(found: list[objects.PciFlavor], sort: str) -> None:
    """Sort PCI flavors in place.

    :raises ApiError: 400
    """
    for part in reversed(sort.split(',')):
        key, _, direction = part.partition(':')
        if key not in schema.SORT_KEYS or direction not in ('', 'asc', 'desc'):
            raise errors.ApiError(
                400,
                f'Query: sort: {part!r} is not KEY:DIRECTION; the keys are '
                f'{", ".join(schema.SORT_KEYS)}, the directions asc and desc.',
            )

        def value(flavor: objects.PciFlavor, key: str = key) -> str:
            # Times are None or comparable, and sort as text.
            return str(getattr(flavor, key) or '')

        found.sort(key=value, reverse=direction == 'desc')
