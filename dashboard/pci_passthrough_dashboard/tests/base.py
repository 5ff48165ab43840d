# SPDX-License-Identifier: Apache-2.0
"""The base class of the stories: one stack for all of them."""

import atexit
from typing import Any

import fixtures
import testtools

from pci_passthrough import sdk
from pci_passthrough.tests.e2e import processes
from pci_passthrough_dashboard.tests import accounts
from pci_passthrough_dashboard.tests import browser
from pci_passthrough_dashboard.tests import stack as stack_mod
from pci_passthrough_dashboard.tests import world

_started: list[stack_mod.Stack] = []


def stack() -> stack_mod.Stack:
    """Return the stack; start it with the first call."""
    if not _started:
        started = stack_mod.Stack()
        try:
            started.setUp()
        except fixtures.MultipleExceptions as error:
            raise processes.first_cause(error) from error
        atexit.register(started.cleanUp)
        world.fill(started.api, started.accounts.projects[accounts.BLUE])
        _started.append(started)
    return _started[0]


class Story(testtools.TestCase):
    """What one user does in a browser."""

    user = ''

    def setUp(self) -> None:
        super().setUp()
        self.stack = stack()
        self.browser = self.useFixture(browser.Browser(self.stack, self.user))
        self.addOnException(self._show)

    def service(self, user: str = accounts.ADMIN) -> Any:
        """Return the service as a user of the SDK reaches it."""
        connection = accounts.connect(self.stack.site, user)
        self.addCleanup(connection.close)
        return sdk.add_to(connection).pci_passthrough

    def _show(self, _: object) -> None:
        """Attach what the user saw last, and what Horizon has logged."""
        self.addDetail(
            'page', testtools.content.text_content(self.browser.text)
        )
        log = processes.tail(self.stack.horizon.log.log_path)
        self.addDetail('horizon', testtools.content.text_content(log))
