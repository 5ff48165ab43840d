# SPDX-License-Identifier: Apache-2.0
"""The devices that projects use, their limits, and device-seconds."""

from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Mapping
import datetime

from oslo_log import log as logging
from werkzeug import wrappers

from pci_passthrough import exception
from pci_passthrough.api import errors
from pci_passthrough.api import request as request_mod
from pci_passthrough.api import responses
from pci_passthrough.api.policies import usage as policy
from pci_passthrough.store.pci_flavors import lookup
from pci_passthrough.store.views import usages

LOG = logging.getLogger(__name__)

#: With more projects on a page, Keystone would be asked too often.
_MOST_PROJECTS = 100

#: The end of a period without end.
_LATEST = datetime.datetime.max


def index(request: request_mod.ApiRequest) -> wrappers.Response:
    """List usages by project and name of the PCI flavor.

    Of a single project, those PCI flavors are listed, too, that have a limit
    and are not used.
    """
    db, wanted = request.backends.database, _filter(request)
    used, seconds = usages.used(db, wanted), _seconds(request, wanted)
    keys = {*used, *(seconds or ())}
    names = lookup.names(db, {uuid for _, uuid in keys if uuid is not None})
    limits: dict[str, dict[str, int]] = {}
    project_id = wanted.project_id
    if project_id is not None:
        visible = {
            str(flavor.uuid): str(flavor.name)
            for flavor in lookup.get_all(db, project_id)
            if wanted.pci_flavor in (None, flavor.uuid)
        }
        names |= visible
        limits = _limits(request, [project_id], names.values())
        limited = limits.get(project_id, {})
        keys |= {
            (project_id, uuid)
            for uuid, name in visible.items()
            if name in limited
        }
    shown, last = responses.after_marker(
        sorted(keys, key=lambda key: (key[0], names.get(key[1] or '', ''))),
        lambda key: [f'{key[0]}/{key[1] or ""}'],
        request,
    )
    projects = {project for project, _ in shown}
    if project_id is None and len(projects) <= _MOST_PROJECTS:
        limits = _limits(request, projects, names.values())
    views = []
    for project, uuid in shown:
        name = names.get(uuid or '')
        view = {
            'project_id': project,
            'pci_flavor': {'uuid': uuid, 'name': name},
            'used': used.get((project, uuid), 0),
            'limit': limits.get(project, {}).get(name or ''),
        }
        if seconds is not None:
            view['device_seconds'] = seconds.get((project, uuid), 0)
        views.append(view)
    return responses.page(request, 'usages', views, last)


def _seconds(
    request: request_mod.ApiRequest, wanted: usages.Filter
) -> Mapping[usages.Key, float] | None:
    """Return device-seconds of the query's period; None if it has none."""
    query = request.query
    start = responses.parse_time('start', query.get('start'))
    end = responses.parse_time('end', query.get('end'))
    if start is None:
        if end is not None:
            raise errors.MalformedRequest('Query: end needs a start.')
        return None
    return usages.device_seconds(
        request.backends.database, start, end or _LATEST, wanted
    )


def _filter(request: request_mod.ApiRequest) -> usages.Filter:
    """Return the usages that a request asks for and its viewer may see."""
    query, viewer = request.query, request.viewer
    project_id = query.get('project_id')
    if not viewer.may(policy.ALL_PROJECTS):
        # No project has the empty id.
        own = viewer.project_id or ''
        if project_id not in (None, own):
            raise errors.Forbidden(
                f'The policy {policy.ALL_PROJECTS} does not allow you to see '
                'what other projects use.'
            )
        project_id = own
    pci_flavor = query.get('pci_flavor')
    if pci_flavor is not None:
        visible_to = None if viewer.sees_all else viewer.project_id
        pci_flavor = lookup.get(
            request.backends.database, pci_flavor, visible_to
        ).uuid
    return usages.Filter(project_id, pci_flavor)


def _limits(
    request: request_mod.ApiRequest,
    projects: Collection[str],
    pci_flavors: Iterable[str],
) -> dict[str, dict[str, int]]:
    """Return limits by project and PCI flavor; none if nobody knows them."""
    names = set(pci_flavors)
    if not projects or not names:
        return {}
    try:
        return request.backends.conductor.project_limits(projects, names)
    except exception.Unavailable as error:
        LOG.warning('The limits of projects are not shown: %s', error)
        return {}
