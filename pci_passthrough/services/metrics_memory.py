# SPDX-License-Identifier: Apache-2.0
"""Numbers in memory that the processes of a conductor share.

A worker's counts must outlive it, because a counter that decreases looks like
a restart. prometheus_client has a mode for several processes, too, but it
needs a directory and an environment variable before it is imported, and
leaves a file behind for each worker that ever ran. Here the process that
started the workers keeps the numbers, and they end with it.
"""

from collections.abc import Mapping
import fcntl
import mmap
import os
import threading
import weakref

_BYTES = 8


class SharedNumbers:
    """Sums to which this process and its forks add. Thread-safe.

    Each process adds to a row of its own, so that none waits for another. A
    process takes the first row that belongs to no living process, and adds to
    the numbers that a dead process left in it. A process marks its row by a
    lock on one byte of the memory, which the kernel releases when the process
    ends for any reason. ``memfd_create`` needs Linux.

    :param count: number of sums.
    :param processes: how many processes may add at a time. Surplus processes
        share the last row until another one is free, and additions in the
        same instant may get lost.
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
        """Add amounts to sums, by their places."""
        with self._lock:
            begin = self._row() * self._count
            for place, amount in amounts.items():
                self._values[begin + place] += amount

    def totals(self) -> list[float]:
        """Return the sums over all processes, including ended ones."""
        return [
            sum(self._values[place :: self._count])
            for place in range(self._count)
        ]

    def _row(self) -> int:
        pid, row = self._owner
        # After a fork, the row is the parent's.
        if pid == os.getpid():
            return row
        free_row = self._take_row()
        if free_row is None:
            return self._rows - 1
        self._owner = (os.getpid(), free_row)
        return free_row

    def _take_row(self) -> int | None:
        for row in range(self._rows):
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, row)
            except OSError:
                continue
            return row
        return None
