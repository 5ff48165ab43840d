# SPDX-License-Identifier: Apache-2.0
"""Tests, laid out like the sources that they check."""

import pathlib
from typing import Any


def load_tests(loader: Any, tests: Any, pattern: str | None) -> Any:
    """Find what needs no more than this project's own requirements.

    ``nova`` and ``e2e`` need more, and are found in runs of their own.
    """
    here = pathlib.Path(__file__).parent
    for name in ('unit', 'functional'):
        tests.addTests(
            loader.discover(
                str(here / name),
                pattern=pattern or 'test*.py',
                top_level_dir=str(here.parent.parent),
            )
        )
    return tests
