# SPDX-License-Identifier: Apache-2.0
"""What makes a method one that callers of a conductor can call."""

from collections.abc import Callable
import functools
from typing import ParamSpec
from typing import TypeVar

from oslo_log import log as logging
import oslo_messaging

from pci_passthrough import exception

LOG = logging.getLogger(__name__)

_P = ParamSpec('_P')
_R = TypeVar('_R')

_expected = oslo_messaging.expected_exceptions(exception.PciPassthroughError)


def answers(method: Callable[_P, _R]) -> Callable[_P, _R]:
    """Let callers call a method, and hand them this project's errors.

    Those are answers and no faults of the server, which oslo.messaging
    would log with a traceback. What is away is the operator's business, too.
    """

    @functools.wraps(method)
    def wrapper(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return method(*args, **kwargs)
        except exception.Unavailable as error:
            LOG.warning('No %s: %s', method.__name__, error.text)
            raise

    # Assigned, because oslo.messaging's decorators carry no types.
    exposed: Callable[_P, _R] = oslo_messaging.expose(_expected(wrapper))
    return exposed
