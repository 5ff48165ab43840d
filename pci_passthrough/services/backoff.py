# SPDX-License-Identifier: Apache-2.0
"""Pauses between the attempts to reach a service that is down."""

import random


class Backoff:
    """Pauses that double from one second to a limit, randomly shortened.

    :param longest: the limit, in seconds.
    """

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self._failures = 0

    def failed(self) -> float:
        """Count a failure; return the seconds to wait."""
        # A larger exponent would overflow some time, and exceeds any limit.
        pause = min(self._longest, 2.0 ** min(self._failures, 16))
        self._failures += 1
        return pause * random.uniform(0.5, 1.0)  # noqa: S311

    def succeeded(self) -> int:
        """Start again at one second; return the number of failures."""
        failures, self._failures = self._failures, 0
        return failures
