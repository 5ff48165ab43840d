# SPDX-License-Identifier: Apache-2.0
"""Times of callables, compared with each other."""

from collections.abc import Callable
import statistics
import time
from typing import Any

#: The lines of a table: what was measured, against what, the median of its
#: milliseconds, and the ratio.
Rows = list[tuple[str, str, float, float]]


def medians(
    runs: dict[str, Callable[[], Any]], rounds: int = 9
) -> dict[str, float]:
    """Run callables in turn, once to warm up; return milliseconds."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for round_number in range(rounds + 1):
        for name, run in runs.items():
            begin = time.perf_counter()
            run()
            if round_number:
                times[name].append((time.perf_counter() - begin) * 1000)
    return {name: statistics.median(t) for name, t in times.items()}
