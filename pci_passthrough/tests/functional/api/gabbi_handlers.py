# SPDX-License-Identifier: Apache-2.0
"""Checks for the YAML files that gabbi does not have."""

from typing import Any

from gabbi.handlers import base


class ForbiddenStrings(base.ResponseHandler):  # type: ignore[misc]
    """``response_forbidden_strings``: texts that are not in the answer."""

    test_key_suffix = 'forbidden_strings'
    test_key_value: list[str] = []

    def action(self, test: Any, item: str, value: object = None) -> None:
        """Check one text."""
        test.assertNotIn(test.replace_template(item), test.output)
