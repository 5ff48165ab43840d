# SPDX-License-Identifier: Apache-2.0
"""Frees devices without rows at the end of a move, by its requests.

Nova keeps the rows and the requests before and after a move in the migration
context of an instance. When a move is confirmed, reverted or has failed, Nova
frees the devices of one side by their rows.
"""

from collections.abc import Callable
from collections.abc import Iterable
import functools
import inspect
from typing import Any

from pci_passthrough.nova_plugin import loaded

#: Prefixes of Nova's attributes: before and after a move.
_OLD, _NEW = 'old_', 'new_'


def all_ids(instance: Any) -> set[str]:
    """Return the ids of all requests of an instance.

    :returns: also those before and after a move that is under way.
    """
    context = instance.migration_context
    return _ids(
        [
            instance.pci_requests,
            _requests_of(context, _OLD),
            _requests_of(context, _NEW),
        ]
    )


def ids_of_side(instance: Any, prefix: str) -> set[str]:
    """Return the ids of requests that an instance has on one side of a move.

    A resize within the host keeps the requests of ports: they are not among
    them.

    :param prefix: ``old_`` or ``new_``.
    """
    context = instance.migration_context
    other = _OLD if prefix == _NEW else _NEW
    return _ids([_requests_of(context, prefix)]) - _ids(
        [_requests_of(context, other)]
    )


def wrap_drop_pci_devices(original: Callable[..., Any]) -> Callable[..., Any]:
    """Replace ``ResourceTracker._drop_pci_devices``.

    nova-compute calls it when a move ends, under the lock of all claims, and
    saves the tracker afterwards.
    """
    signature = inspect.signature(original)

    @functools.wraps(original)
    def _drop_pci_devices(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        given = signature.bind(*args, **kwargs).arguments
        free = getattr(given['self'].pci_tracker, 'free_side_of_move', None)
        if free is not None:
            free(given['instance'], given['prefix'])
        return result

    return _drop_pci_devices


def _requests_of(context: Any, prefix: str) -> Any:
    """Return the requests of one side of a move.

    :param context: Nova's ``MigrationContext``, or None.
    """
    return loaded.attribute(context, f'{prefix}pci_requests')


def _ids(several: Iterable[Any]) -> set[str]:
    """Return the ids of the requests of ``InstancePCIRequests`` objects."""
    return {
        request.request_id
        for pci_requests in several
        for request in getattr(pci_requests, 'requests', ())
    }
