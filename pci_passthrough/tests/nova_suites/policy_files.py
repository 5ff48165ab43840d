# SPDX-License-Identifier: Apache-2.0
"""Reads a policy file once in a process that runs Nova's tests.

Nova's fixture writes the same policies to a new file for each test, and
oslo.policy parses it twice. Of a short test that takes more than half of its
time.
"""

import functools

from oslo_policy import policy


def parse_once() -> None:
    """Let oslo.policy parse each text once; the rules stay each test's own."""
    parse = functools.lru_cache(policy.parse_file_contents)
    policy.parse_file_contents = lambda data: dict(parse(data))
