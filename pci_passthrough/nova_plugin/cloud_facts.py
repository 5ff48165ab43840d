# SPDX-License-Identifier: Apache-2.0
"""Facts about all hosts, which nova-scheduler uses without waiting for them.

They are for instances that need no devices, so nothing depends on them: until
the first answer, and while no conductor answers, nova-scheduler does without.
"""

from collections.abc import Callable
from collections.abc import Mapping
import threading
import time
from typing import Generic
from typing import TypeVar

from oslo_log import log as logging

from pci_passthrough import exception
from pci_passthrough import rpc
from pci_passthrough.nova_plugin import client

LOG = logging.getLogger(__name__)

_T = TypeVar('_T')


class CloudFact(Generic[_T]):
    """The last answer of a conductor, updated by a thread when it is used.

    :param ask: calls a conductor.
    :param unknown: the value without an answer.
    :param failure: the consequence of a failed call, for the log.
    """

    def __init__(
        self,
        ask: Callable[[rpc.ConductorClient], _T],
        unknown: _T,
        failure: str,
    ) -> None:
        self._ask_for = ask
        self._value = self._unknown = unknown
        self._failure = failure
        self._lock = threading.Lock()
        self._asked_at: float | None = None

    def get(self, interval: float) -> _T:
        """Return the last answer, without waiting.

        :param interval: seconds after which a conductor is asked again.
        """
        now = time.monotonic()
        with self._lock:
            asked = self._asked_at
            if asked is None or now - asked >= interval:
                self._asked_at = now
                threading.Thread(
                    target=self._ask, name='pci-hosts', daemon=True
                ).start()
            return self._value

    def _ask(self) -> None:
        try:
            value = self._ask_for(client.conductor())
        except exception.PciPassthroughError as error:
            LOG.warning('%s: %s', self._failure, error.text)
            value = self._unknown
        with self._lock:
            self._value = value


def hosts_with_devices() -> CloudFact[frozenset[str]]:
    """Return the hosts that offer devices, free or held."""
    return CloudFact(
        lambda conductor: frozenset(conductor.hosts_with_devices()),
        frozenset(),
        'Cannot list hosts with PCI devices; not avoiding them',
    )


def free_by_numa_node() -> CloudFact[Mapping[str, Mapping[int, int]]]:
    """Return the numbers of free devices by host and NUMA node."""
    return CloudFact(
        lambda conductor: conductor.free_by_numa_node(),
        {},
        'Cannot count free PCI devices by NUMA node; not avoiding the nodes',
    )
