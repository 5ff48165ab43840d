# SPDX-License-Identifier: Apache-2.0
"""The users of the tests: projects, roles and the catalog in Keystone."""

from collections.abc import Mapping
import dataclasses
from typing import Any
from typing import Final

import openstack

from pci_passthrough.tests.e2e import settings

#: The names of the projects.
ADMIN: Final = 'admin'
BLUE: Final = 'blue'

#: User to project and role; the administrator is Keystone's own.
_USERS: Final = {'berta': (BLUE, 'member'), 'bob': (BLUE, 'reader')}


@dataclasses.dataclass(frozen=True)
class Accounts:
    """What the tests know of Keystone.

    :ivar projects: UUIDs by name.
    """

    projects: Mapping[str, str]


def connect(site: settings.Site, user: str = ADMIN) -> Any:
    """Return a connection of the SDK."""
    project = _USERS[user][0] if user in _USERS else ADMIN
    return openstack.connect(
        load_yaml_config=False,
        load_envvars=False,
        region_name=settings.REGION,
        auth={
            'auth_url': site.url('keystone'),
            'username': user,
            'password': site.password,
            'project_name': project,
            'user_domain_name': 'Default',
            'project_domain_name': 'Default',
        },
    )


def create(site: settings.Site, services: Mapping[str, str]) -> Accounts:
    """Create users, projects and the catalog.

    :param services: URLs by the type of the service.
    """
    with connect(site) as cloud:
        identity = cloud.identity
        roles = {role.name: role for role in identity.roles()}
        service = identity.create_project(name='service', domain_id='default')
        blue = identity.create_project(name=BLUE, domain_id='default')
        for name, project, role in (
            ('pci-passthrough', service, 'service'),
            *((user, blue, role) for user, (_, role) in _USERS.items()),
        ):
            user = identity.create_user(
                name=name, password=site.password, domain_id='default'
            )
            identity.assign_project_role_to_user(project, user, roles[role])
        for kind, url in services.items():
            entry = identity.create_service(name=kind, type=kind)
            for interface in ('public', 'internal'):
                identity.create_endpoint(
                    service_id=entry.id,
                    interface=interface,
                    url=url,
                    region_id=settings.REGION,
                )
        projects = {item.name: item.id for item in identity.projects()}
    return Accounts(projects)
