# SPDX-License-Identifier: Apache-2.0
"""Runs ``openstack`` and ``nova`` in this process."""

import contextlib
import dataclasses
import io
import json
import logging
import os
from typing import Any

import fixtures
from novaclient import base as nova_base
from novaclient import shell as nova_shell
from openstackclient import shell as openstack_shell
from osc_lib import clientmanager

#: The log of the service, and of threads that other tests have left behind:
#: oslo.messaging goes on looking for a broker that was killed.
_NOT_OF_USERS = (
    'pci_passthrough.api',
    'pci_passthrough.services',
    'pci_passthrough.rpc',
    'oslo.messaging',
    'kombu',
    'amqp',
)


@dataclasses.dataclass
class Outcome:
    """Exit status and output of a command."""

    status: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        """The standard output, parsed as JSON."""
        return json.loads(self.stdout)

    @property
    def error(self) -> str:
        """The error, which must be one line, without traceback."""
        [line] = self.stderr.splitlines()
        return line


class ShellFixture(fixtures.Fixture):
    """Runs ``openstack`` and ``nova`` without configuration of the user."""

    def _setUp(self) -> None:
        for name in os.environ:
            if name.startswith('OS_'):
                self.useFixture(fixtures.EnvironmentVariable(name))
        home = self.useFixture(fixtures.TempDir()).path
        for name in ('HOME', 'XDG_CONFIG_HOME', 'XDG_CACHE_HOME'):
            self.useFixture(fixtures.EnvironmentVariable(name, home))
        self.useFixture(fixtures.EnvironmentVariable('COLUMNS', '1000'))
        for name in _NOT_OF_USERS:
            self._silence(logging.getLogger(name))

    def _silence(self, logger: logging.Logger) -> None:
        self.addCleanup(setattr, logger, 'propagate', logger.propagate)
        logger.propagate = False
        # Without a handler, Python prints warnings to standard error.
        nowhere = logging.NullHandler()
        self.addCleanup(logger.removeHandler, nowhere)
        logger.addHandler(nowhere)

    def openstack(self, *words: str) -> Outcome:
        """Run ``openstack``."""
        # osc-lib keeps clients between commands of the interactive mode.
        for cache in vars(clientmanager.ClientManager).values():
            if isinstance(cache, clientmanager.ClientCache):
                cache._handle = None
        return self._run(openstack_shell.main, words)

    def nova(self, *words: str) -> Outcome:
        """Run ``nova``."""
        nova_base.HookableMixin._hooks_map.clear()
        outcome = self._run(nova_shell.main, words)
        outcome.stderr = '\n'.join(
            line
            for line in outcome.stderr.splitlines()
            if 'nova CLI is deprecated' not in line
        )
        return outcome

    def _run(self, main: Any, words: tuple[str, ...]) -> Outcome:
        stdout, stderr = io.StringIO(), io.StringIO()
        root = logging.getLogger()
        kept = root.handlers[:], root.level
        # The handlers of the service, which runs in the same process.
        root.handlers.clear()
        status = 0
        try:
            with (
                contextlib.redirect_stdout(stdout),
                contextlib.redirect_stderr(stderr),
            ):
                status = main(list(words)) or 0
        except SystemExit as end:
            status = int(end.code or 0)
        finally:
            root.handlers[:], root.level = kept
        return Outcome(status, stdout.getvalue(), stderr.getvalue())
