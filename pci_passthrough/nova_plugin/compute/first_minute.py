# SPDX-License-Identifier: Apache-2.0
"""The first minute of nova-compute, in which the agent may still start.

After a start of the host, both start at once, and Nova starts its guests.
"""

from collections.abc import Callable
import time
from typing import TypeVar

_R = TypeVar('_R')

_ENDS_AT = time.monotonic() + 60.0

#: Seconds between two attempts.
_PAUSE = 1.0


def patiently(call: Callable[[], _R], passing: type[Exception]) -> _R:
    """Return what a call returns; until the minute is over, try again.

    :param passing: the error that may pass by itself.
    :raises: the call's error.
    """
    while True:
        try:
            return call()
        except passing:
            if time.monotonic() >= _ENDS_AT:
                raise
            time.sleep(_PAUSE)
