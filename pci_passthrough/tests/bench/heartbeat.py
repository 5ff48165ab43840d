# SPDX-License-Identifier: Apache-2.0
"""Measure how many unchanged hosts one conductor can serve.

``python -m pci_passthrough.tests.bench.heartbeat [HOSTS]``: 8 threads call a
conductor's endpoint on MariaDB, and then do the bare UPDATE which cannot be
avoided. The ratio says what the conductor adds; the broker is not in it.
"""

from collections.abc import Callable
import concurrent.futures
import itertools
import sys
import time

# Chooses oslo.service's backend, before anything else imports it.
from pci_passthrough import cmd  # noqa: F401
from pci_passthrough import store
from pci_passthrough.services import endpoint
from pci_passthrough.store import database
from pci_passthrough.store import models
from pci_passthrough.store import schema
from pci_passthrough.tests.functional import servers

_THREADS = 8
_SECONDS = 5.0
_DIGEST = 'd' * 64

_nodes = models.compute_nodes


def _fill(db: store.Writer, count: int) -> None:
    at = database.now()
    with db.write() as connection:
        connection.execute(
            _nodes.insert(),
            [
                {
                    'id': number,
                    'host': f'compute-{number}',
                    'revision': 0,
                    'generation': 1,
                    'sequence': 1,
                    'digest': _DIGEST,
                    'agent_version': '1.0.0',
                    'last_report_at': at,
                    'created_at': at,
                }
                for number in range(1, count + 1)
            ],
        )


def _rate(work: Callable[[int], object], count: int) -> float:
    """Return how often threads together can do something in a second."""
    numbers = itertools.cycle(range(1, count + 1))
    until = time.monotonic() + _SECONDS

    def repeat() -> int:
        done = 0
        while time.monotonic() < until:
            work(next(numbers))
            done += 1
        return done

    with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
        threads = [pool.submit(repeat) for _ in range(_THREADS)]
        return sum(thread.result() for thread in threads) / _SECONDS


def measure(db: store.Writer, count: int) -> tuple[float, float]:
    """Return heartbeats and bare updates per second.

    :param count: number of hosts.
    """
    conductor = endpoint.ConductorEndpoint(db, store.Policy(store.Limits(180)))

    def heartbeat(number: int) -> None:
        ack = conductor.heartbeat({}, f'compute-{number}', 1, _DIGEST)
        assert ack.wanted == 'nothing'

    def update(number: int) -> None:
        with db.write() as connection:
            connection.execute(
                _nodes.update()
                .where(_nodes.c.id == number)
                .values(last_report_at=database.now())
            )

    return _rate(heartbeat, count), _rate(update, count)


def main() -> None:
    """Measure and print."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with servers.MariaDB() as server:
        db = store.Writer(server.create_database())
        schema.sync(db)
        _fill(db, count)
        heartbeats, updates = measure(db, count)
        db.close()
    print(
        f'{count} hosts, {_THREADS} threads: {heartbeats:.0f} heartbeats/s, '
        f'{updates:.0f} bare updates/s, ratio {heartbeats / updates:.2f}'
    )


if __name__ == '__main__':
    main()
