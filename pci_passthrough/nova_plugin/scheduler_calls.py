# SPDX-License-Identifier: Apache-2.0
"""One call of nova-scheduler: how many candidates, and why it found no host.

PciFlavorFilter notes the reason why no host can serve. The fault of a server
then says it, in the words that projects may read.
"""

from collections.abc import Callable
import contextvars
import dataclasses
import functools
import inspect
from typing import Any

from pci_passthrough.nova_plugin.compat import errors
from pci_passthrough.nova_plugin.install import bootstrap


@dataclasses.dataclass(eq=False)
class Call:
    """A call of nova-scheduler.

    :ivar candidates: UUID of a resource provider to Placement's allocation
        requests; None means that Placement was not asked.
    :ivar reason: why no host can serve, for projects; None if our filter is
        not the reason.
    """

    candidates: Any = None
    reason: str | None = None

    def limit_reached(self) -> int | None:
        """Return ``max_placement_results`` if Placement named as many."""
        limit: int = bootstrap.nova_conf().scheduler.max_placement_results
        requests = {
            id(request)
            for of_provider in (self.candidates or {}).values()
            for request in of_provider
        }
        return limit if len(requests) >= limit else None


_current: contextvars.ContextVar[Call] = contextvars.ContextVar('call')


def current() -> Call:
    """Return the call that is going on in this thread."""
    return _current.get(Call())


def wrap_schedule(original: Callable[..., Any]) -> Callable[..., Any]:
    """Replace ``SchedulerManager._schedule``, which chooses the hosts.

    If no host can serve requests for PCI flavors, its error has the reason.
    """

    signature = inspect.signature(original)

    @functools.wraps(original)
    def _schedule(*args: Any, **kwargs: Any) -> Any:
        given = signature.bind(*args, **kwargs).arguments
        call = Call(given['alloc_reqs_by_rp_uuid'])
        token = _current.set(call)
        try:
            return original(*args, **kwargs)
        except errors.NoValidHost as error:
            if call.reason is None:
                raise
            raise errors.NoValidHost(reason=call.reason) from error
        finally:
            _current.reset(token)

    return _schedule
