# SPDX-License-Identifier: Apache-2.0
"""Numbers in memory that a conductor's processes share.

prometheus_client has a mode for several processes, too. It needs a directory
and an environment variable before it is imported, and leaves a file behind
for each worker that ever ran: a worker's numbers must outlive it, for a
counter that goes down looks like a restart. Here they are kept by whoever
started the workers, and go with it.
"""

from collections.abc import Mapping
import fcntl
import mmap
import os
import threading
import weakref

_BYTES = 8


class SharedNumbers:
    """Sums to which this process and all that it forks add. Thread-safe.

    A process adds to a row of its own, so that none waits for another. It
    takes the first row that belongs to no living process, and goes on with
    what the dead one left there. That a row is taken is a lock on one byte
    of the memory: the kernel ends it with the process, however that ends.
    It needs Linux, for ``memfd_create``.

    :param count: how many numbers.
    :param processes: how many may add at a time. Should there be more, some
        share a row until another gets free, and may lose what they add in
        the same instant.
    """

    def __init__(self, count: int, processes: int) -> None:
        self._count = count
        self._rows = processes
        self._file = os.memfd_create('pci_passthrough-metrics')
        weakref.finalize(self, os.close, self._file)
        size = _BYTES * count * processes
        os.ftruncate(self._file, size)
        self._values = memoryview(mmap.mmap(self._file, size)).cast('d')
        self._lock = threading.Lock()
        self._owner = (0, 0)

    def add(self, amounts: Mapping[int, float]) -> None:
        """Add to some of the numbers, by their places."""
        with self._lock:
            begin = self._row() * self._count
            for place, amount in amounts.items():
                self._values[begin + place] += amount

    def totals(self) -> list[float]:
        """Return what all processes have added, those too that are gone."""
        return [
            sum(self._values[place :: self._count])
            for place in range(self._count)
        ]

    def _row(self) -> int:
        pid, row = self._owner
        # Since a fork it is the parent's.
        if pid == os.getpid():
            return row
        own = self._take_row()
        if own is None:
            return self._rows - 1
        self._owner = (os.getpid(), own)
        return own

    def _take_row(self) -> int | None:
        for row in range(self._rows):
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, row)
            except OSError:
                continue
            return row
        return None
