# SPDX-License-Identifier: Apache-2.0
"""The HTTP requests in ``gabbits``: one file a noun, and one a bug."""

import pathlib
import unittest

from gabbi import driver

from pci_passthrough.tests.functional.api import gabbi_fixtures
from pci_passthrough.tests.functional.api import gabbi_handlers

_GABBITS = pathlib.Path(__file__).parent / 'gabbits'


def load_tests(
    loader: unittest.TestLoader, tests: unittest.TestSuite, pattern: object
) -> unittest.TestSuite:
    """Return a test for each request."""
    built: unittest.TestSuite = driver.build_tests(
        str(_GABBITS),
        loader,
        intercept=lambda: gabbi_fixtures.application,
        test_loader_name=__name__,
        fixture_module=gabbi_fixtures,
        response_handlers=[gabbi_handlers.ForbiddenStrings],
    )
    return built
