# SPDX-License-Identifier: Apache-2.0
"""Keystone projects with one user each."""

from typing import Any

import fixtures

from pci_passthrough.tests.e2e import cloud as cloud_module
from pci_passthrough.tests.e2e import shell


class Account(fixtures.Fixture):
    """A new project with one user.

    :param name: the name of the project and of the user.
    :param role: the user's role in the project.
    :ivar project_id: the project.
    :ivar shell: runs commands as the user.
    :ivar sdk: the user's connection.
    """

    project_id: str
    shell: shell.Shell
    sdk: Any

    def __init__(
        self, cloud: cloud_module.Cloud, name: str, role: str
    ) -> None:
        super().__init__()
        self._cloud = cloud
        self._name = name
        self._role = role

    def _setUp(self) -> None:
        control, identity = self._cloud.control, self._cloud.sdk.identity
        credentials = control.credentials() | {
            'username': self._name,
            'project_name': self._name,
        }
        project = identity.create_project(name=self._name, domain_id='default')
        self.addCleanup(identity.delete_project, project)
        user = identity.create_user(
            name=self._name,
            password=credentials['password'],
            domain_id='default',
        )
        self.addCleanup(identity.delete_user, user)
        identity.assign_project_role_to_user(
            project, user, identity.find_role(self._role)
        )
        self.project_id = str(project.id)
        self.shell = shell.Shell(credentials)
        self.sdk = control.connect(credentials)
        self.addCleanup(self.sdk.close)
