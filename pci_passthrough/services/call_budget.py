# SPDX-License-Identifier: Apache-2.0
"""Limits how many calls of one host a conductor executes at a time."""

from collections import Counter
from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import inspect
import threading
from typing import Any

from oslo_log import log as logging

from pci_passthrough import exception

LOG = logging.getLogger(__name__)


class CallBudget:
    """Counts the calls of each host in a conductor process. Thread-safe.

    A call that waits for the lock of its host occupies a thread. Without a
    limit, the calls of one host could occupy all of them.

    :param most: calls of one host at the same time; None means any number.
    """

    def __init__(self, most: int | None = None) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._running: Counter[str] = Counter()
        self._refused: set[str] = set()

    @contextlib.contextmanager
    def call(self, host: str | None) -> Iterator[None]:
        """Count a call of a host while it is executed.

        :param host: None means that no host is known, so nothing is counted.
        :raises: HostBusy, at once, if the host has too many calls already.
        """
        if host is None or self._most is None:
            yield
            return
        self._begin(host, self._most)
        try:
            yield
        finally:
            self._end(host)

    def _begin(self, host: str, most: int) -> None:
        with self._lock:
            if self._running[host] < most:
                self._running[host] += 1
                return
            is_first = host not in self._refused
            self._refused.add(host)
        if is_first:
            # Once, until the host is quiet: a flood must not fill the log.
            LOG.warning(
                'Host %s has %d calls in this conductor; refusing further '
                'calls of the host until one of them ends',
                ascii(host[:255]),
                most,
            )
        raise exception.HostBusy(host[:255], most)

    def _end(self, host: str) -> None:
        with self._lock:
            self._running[host] -= 1
            if not self._running[host]:
                # Names of hosts must not fill the memory, either.
                del self._running[host]
                self._refused.discard(host)


def host_finder(
    signature: inspect.Signature,
) -> Callable[[tuple[Any, ...], dict[str, Any]], str | None]:
    """Return a function that finds the host among the arguments of a call.

    It is the argument ``host``, or that of the argument ``report``.

    :param signature: of the RPC method.
    """
    names = list(signature.parameters)

    def argument(
        name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        if name not in names:
            return None
        index = names.index(name)
        return args[index] if index < len(args) else kwargs.get(name)

    def find(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str | None:
        host = argument('host', args, kwargs)
        if host is None:
            host = getattr(argument('report', args, kwargs), 'host', None)
        return host if isinstance(host, str) else None

    return find


class Endpoint:
    """Base of the endpoints of a conductor.

    :ivar calls: limits the calls of each host. Only endpoints that hosts call
        get a limit, so that an operator can forget a host that is busy.
    """

    calls = CallBudget()
