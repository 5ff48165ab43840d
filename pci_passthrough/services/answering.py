# SPDX-License-Identifier: Apache-2.0
"""Exposes the methods of endpoints to RPC callers."""

from collections.abc import Callable
from collections.abc import Mapping
import functools
from typing import Any
from typing import Concatenate
from typing import ParamSpec
from typing import TypeVar

from oslo_log import log as logging
import oslo_messaging

from pci_passthrough import exception
from pci_passthrough.rpc import methods
from pci_passthrough.services import call_budget

LOG = logging.getLogger(__name__)

_P = ParamSpec('_P')
_R = TypeVar('_R')
_S = TypeVar('_S', bound=call_budget.Endpoint)

#: What each RPC call begins with; this project's is always empty.
_Context = Mapping[str, Any]

_expected = oslo_messaging.expected_exceptions(exception.PciPassthroughError)


def answers(
    declared: methods.Method[_P, _R],
) -> Callable[
    [Callable[Concatenate[_S, _P], _R]],
    Callable[Concatenate[_S, _Context, _P], _R],
]:
    """Expose an endpoint's method as the answer to a declared RPC method.

    The method itself gets no RPC context. It may raise this project's
    errors: they are sent to the caller as answers, while oslo.messaging
    logs all others with a traceback as faults of the server. ``Unavailable``
    errors are logged here too, because an operator has to know. A call of a
    host that has too many already is refused before anything else.

    :param declared: of ``rpc.methods.Conductor``.
    """

    host_in = call_budget.host_finder(declared.signature)

    def expose(
        method: Callable[Concatenate[_S, _P], _R],
    ) -> Callable[Concatenate[_S, _Context, _P], _R]:
        def wrapper(
            self: _S,
            context: _Context,
            /,
            *args: _P.args,
            **kwargs: _P.kwargs,
        ) -> _R:
            with self.calls.call(host_in(args, kwargs)):
                try:
                    return method(self, *args, **kwargs)
                except exception.Unavailable as error:
                    LOG.warning('RPC %s failed: %s', declared.name, error.text)
                    raise

        answer = functools.wraps(method)(_expected(wrapper))
        # Assigned, because oslo.messaging's decorators carry no types.
        exposed: Callable[Concatenate[_S, _Context, _P], _R] = (
            oslo_messaging.expose(answer)
        )
        return exposed

    return expose
