# SPDX-License-Identifier: Apache-2.0
"""Runs the command-line programs of operators and users."""

from collections.abc import Mapping
import json
import subprocess
from typing import Any

from pci_passthrough.tests.e2e import processes
from pci_passthrough.tests.e2e import settings


class Shell:
    """A shell with the environment variables of an openrc file.

    :param credentials: credentials for Keystone, as for the SDK.
    """

    def __init__(self, credentials: Mapping[str, str]) -> None:
        self._variables = {
            f'OS_{name.upper()}': value for name, value in credentials.items()
        }

    def run(self, *command: str) -> 'subprocess.CompletedProcess[str]':
        """Run a program to its end; return its status and output."""
        return subprocess.run(
            [processes.BIN / command[0], *command[1:]],
            env=processes.environment(
                OS_REGION_NAME=settings.REGION,
                OS_IDENTITY_API_VERSION='3',
                **self._variables,
            ),
            capture_output=True,
            text=True,
            timeout=processes.PATIENCE,
            check=False,
        )

    def succeed(self, *command: str) -> str:
        """Run a program; return its output.

        :raises CloudError: the program failed.
        """
        done = self.run(*command)
        if done.returncode:
            raise processes.CloudError(f'{command}: {done.stderr}')
        return done.stdout

    def fail(self, *command: str) -> str:
        """Run a program that fails; return its error message.

        :raises CloudError: the program did not fail, or with a traceback.
        """
        done = self.run(*command)
        if not done.returncode or 'Traceback' in done.stderr:
            raise processes.CloudError(
                f'{command}: {done.returncode}, {done.stderr}'
            )
        return done.stderr

    def openstack(self, *words: str) -> str:
        """Run ``openstack``; return its output."""
        return self.succeed('openstack', *words)

    def table(self, *words: str) -> Any:
        """Run ``openstack``; return its output as data."""
        return json.loads(self.openstack(*words, '-f', 'json'))
