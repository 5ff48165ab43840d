# SPDX-License-Identifier: Apache-2.0
"""Repeats calls that a conductor refuses while a host is busy."""

from collections.abc import Callable
import random
import time
from typing import TypeVar

from pci_passthrough import exception

_R = TypeVar('_R')

#: Seconds between the first two tries, and the longest pause.
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 1.0


def until_admitted(call: Callable[[float], _R], seconds: float) -> _R:
    """Return the result of a call, repeated while the host is busy.

    :param call: gets the seconds that are left for its answer.
    :param seconds: the longest wait for all tries together.
    :raises: HostBusy if the host was busy until the end; and what the call
        raises.
    """
    deadline = time.monotonic() + seconds
    longest = _FIRST_PAUSE
    while True:
        try:
            return call(max(deadline - time.monotonic(), _FIRST_PAUSE))
        except exception.HostBusy:
            # Random, so that callers who were refused together come apart.
            pause = longest * random.uniform(0.5, 1.0)  # noqa: S311
            if time.monotonic() + pause >= deadline:
                raise
        time.sleep(pause)
        longest = min(2 * longest, _LONGEST_PAUSE)
