# SPDX-License-Identifier: Apache-2.0
"""Lets one thread of the agent at a time act on devices with one lock."""

import threading


class Turns:
    """The devices, or groups of devices, on which threads act. Thread-safe.

    Mediated devices of one function share a lock: see
    ``handlers.device_lock``. Without turns, verbs of two of them would take
    each other for processes that have been left behind.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: set[str] = set()

    def begin(self, place: str) -> bool:
        """Take a turn; return False if another thread has it.

        :param place: the result of ``device_lock.place_of``.
        """
        with self._lock:
            if place in self._taken:
                return False
            self._taken.add(place)
            return True

    def end(self, place: str) -> None:
        """Give a turn back."""
        with self._lock:
            self._taken.discard(place)
