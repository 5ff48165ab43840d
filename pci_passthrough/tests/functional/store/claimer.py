# SPDX-License-Identifier: Apache-2.0
"""The processes of the tests of concurrent claims."""

import collections
from collections.abc import Callable
from collections.abc import Sequence
import contextlib
import multiprocessing
from multiprocessing import process
import os
import random
import signal
import traceback
from typing import Any

import fixtures
import sqlalchemy as sa

from pci_passthrough import claims
from pci_passthrough import exception
from pci_passthrough import store
from pci_passthrough.store import host_changes
from pci_passthrough.store import ledger
from pci_passthrough.store import models
from pci_passthrough.store.claims import adoption
from pci_passthrough.store.claims import claiming
from pci_passthrough.store.claims import quotas
from pci_passthrough.store.claims import transitions
from pci_passthrough.store.devices import lookup
from pci_passthrough.store.devices import operators
from pci_passthrough.store.devices import preparing
from pci_passthrough.store.devices import reports
from pci_passthrough.tests.functional.store import base

#: Each of these alternatives, for so many devices.
REQUESTS = (
    (('gpu',), 1),
    (('big', 'gpu'), 1),
    (('gpu',), 2),
    (('vf',), 1),
    (('vf',), 2),
    (('pf', 'vf'), 1),
    (('nic',), 1),
)

#: Seconds that a process waits for the others before it gives up.
_PATIENCE = 120

_context = multiprocessing.get_context('forkserver')
_context.set_forkserver_preload([__name__])


def run(
    work: Callable[..., None], url: str, count: int, hosts: list[str]
) -> list[str]:
    """Run processes to their end; return the errors that they met.

    :param work: gets the database, a source of chances, the hosts, and a
        function that returns when all processes have called it.
    """
    return run_all([work] * count, url, hosts)


def run_all(
    works: Sequence[Callable[..., None]], url: str, hosts: list[str]
) -> list[str]:
    """Run a process for each function; see ``run``."""
    count = len(works)
    errors = _context.SimpleQueue()
    meet = _context.Barrier(count, timeout=_PATIENCE)
    running: list[process.BaseProcess] = [
        _context.Process(
            target=_guarded, args=(work, url, number, hosts, meet, errors)
        )
        for number, work in enumerate(works)
    ]
    for started in running:
        started.start()
    for started in running:
        started.join()
    failures = [f'exit status {p.exitcode}' for p in running if p.exitcode]
    while not errors.empty():
        failures.append(errors.get())
    return failures


def _guarded(
    work: Callable[..., None],
    url: str,
    number: int,
    hosts: list[str],
    meet: Any,
    errors: Any,
) -> None:
    db = store.Writer(url)
    meet.wait()
    try:
        work(db, random.Random(number), hosts, meet.wait)
    except BaseException:
        errors.put(traceback.format_exc())


def take_everything(
    db: store.Writer, rnd: random.Random, hosts: list[str], *_meet: Any
) -> None:
    """Claim until nothing is left, and free something now and then."""
    owners: list[str] = []
    frees = 6
    left = [(h, *r) for h in hosts for r in REQUESTS]
    while left:
        host, names, count = chosen = rnd.choice(left)
        owner = base.new_id()
        wanted = [base.request(*names, count=count)]
        try:
            claiming.claim(
                db,
                base.POLICY,
                claims.ClaimRequest(host, owner, wanted, 'claimer'),
            )
        except exception.ClaimRefused:
            left.remove(chosen)
            continue
        if rnd.random() < 0.5:
            transitions.allocate(db, host, owner, 'claimer')
        owners.append(owner)
        if frees and rnd.random() < 0.3:
            frees -= 1
            transitions.free(
                db, owners.pop(rnd.randrange(len(owners))), 'claimer'
            )
            # What was freed has to be found again, by somebody.
            left = [(h, *r) for h in hosts for r in REQUESTS]


def take_a_member(
    db: store.Writer,
    rnd: random.Random,
    hosts: list[str],
    meet: Callable[[], object],
) -> None:
    """Claim a GPU or a sound function of each host, at the same time."""
    for host in hosts:
        wanted = [base.request(rnd.choice(('card', 'sound')))]
        meet()
        with contextlib.suppress(exception.ClaimRefused):
            claiming.claim(
                db,
                base.POLICY,
                claims.ClaimRequest(host, base.new_id(), wanted, 'claimer'),
            )


#: How many devices the project of these two may hold.
LIMIT = 5


def take_within_a_limit(
    db: store.Writer,
    rnd: random.Random,
    hosts: list[str],
    meet: Callable[[], object],
) -> None:
    """Claim five times for new instances of one project."""
    for _ in range(5):
        meet()
        with contextlib.suppress(exception.ClaimRefused):
            _take_as_project(db, rnd.choice(hosts))


def take_without_turns(
    host: str,
    db: store.Writer,
    rnd: random.Random,
    hosts: list[str],
    meet: Callable[[], object],
) -> None:
    """Claim wrongly: nobody takes a turn, and all count before any writes.

    :param host: another one for each process, so that none waits for a lock.
    """

    def count(*args: Any) -> Any:
        counted = select(*args)
        meet()
        return counted

    select = quotas.select
    with (
        fixtures.MonkeyPatch(f'{quotas.__name__}._take_turn', lambda *_: None),
        fixtures.MonkeyPatch(f'{quotas.__name__}.select', count),
    ):
        _take_as_project(db, host)


def _take_as_project(db: store.Writer, host: str) -> None:
    claiming.claim(
        db,
        base.POLICY,
        claims.ClaimRequest(
            host,
            base.new_id(),
            [base.request('gpu')],
            'claimer',
            owner_project_id='mine',
        ),
        lambda project_id, names: dict.fromkeys(names, LIMIT),
    )


def take_and_adopt(
    db: store.Writer, rnd: random.Random, addresses: list[str], *_meet: Any
) -> None:
    """Claim, adopt and free on one host, in any order."""
    owners: list[str] = []
    for _ in range(25):
        owner = base.new_id()
        try:
            if rnd.random() < 0.4:
                names, count = rnd.choice(REQUESTS)
                wanted = [base.request(*names, count=count)]
                claiming.claim(
                    db,
                    base.POLICY,
                    claims.ClaimRequest('h', owner, wanted, 'claimer'),
                )
            else:
                some = rnd.sample(addresses, rnd.choice((1, 1, 2)))
                adoption.adopt(db, 'h', owner, 'r', some, 'claimer')
        except (exception.ClaimRefused, exception.DeviceStateConflict):
            if owners:
                transitions.free(db, owners.pop(0), 'claimer', 'h')
            continue
        owners.append(owner)


def take_unsafely(
    db: store.Writer,
    rnd: random.Random,
    hosts: list[str],
    meet: Callable[[], object],
) -> None:
    """Claim wrongly: read first, then write without a condition.

    Nobody writes before all have looked, so some of them choose the same.
    """
    table = models.pci_devices
    with db.write() as connection:
        free = lookup.select(
            connection,
            models.compute_nodes.c.host == hosts[0],
            table.c.free_key.is_not(None),
        )
        device, owner = rnd.choice(free[:2]), base.new_id()
        meet()
        connection.execute(
            table.update()
            .where(table.c.uuid == device.uuid)
            .values(status='claimed', instance_uuid=owner)
        )
        line = ledger.entry(
            device, 'claim', 'x', 'claimed', instance_uuid=owner
        )
        ledger.append(connection, [line])


def take_and_give_back(
    db: store.Writer, rnd: random.Random, hosts: list[str], *_meet: Any
) -> None:
    """Claim a device with handlers and give it back, again and again."""
    for _ in range(40):
        owner, host = base.new_id(), rnd.choice(hosts)
        with contextlib.suppress(exception.ClaimRefused):
            claiming.claim(
                db,
                base.POLICY,
                claims.ClaimRequest(
                    host, owner, [base.request('gpu')], 'claimer'
                ),
            )
            if rnd.random() < 0.5:
                transitions.allocate(db, host, owner, 'claimer')
            transitions.free(db, owner, 'claimer', host)


def take_and_hold(
    db: store.Writer, rnd: random.Random, hosts: list[str], *_meet: Any
) -> None:
    """Claim, look and give back, while others forget the hosts.

    :raises AssertionError: a claimed device is not held any more.
    """
    for _ in range(20):
        owner, host = base.new_id(), rnd.choice(hosts)
        request = claims.ClaimRequest(
            host, owner, [base.request('gpu')], 'claimer'
        )
        try:
            claiming.claim(db, base.POLICY, request)
        except (exception.ClaimRefused, exception.HostNotFound):
            continue
        transitions.allocate(db, host, owner, 'claimer')
        if not transitions.free(db, owner, 'claimer', host):
            raise AssertionError(f'{owner} has lost its device of {host}')


def report_again(
    db: store.Writer, rnd: random.Random, hosts: list[str], *_meet: Any
) -> None:
    """Report hosts as their agents do, known or not."""
    for _ in range(20):
        devices = [base.gpu(n) for n in (1, 2, 3)]
        reports.apply(db, base.full_report(rnd.choice(hosts), devices))


def forget_hosts(
    db: store.Writer, rnd: random.Random, hosts: list[str], *_meet: Any
) -> None:
    """Forget hosts of which no instance holds a device.

    By the limits all hosts are down, by those of the claims all are up.
    """
    for _ in range(20):
        with contextlib.suppress(exception.HostInUse, exception.HostNotFound):
            host_changes.forget(
                db,
                store.Limits(-3600, -3600),
                rnd.choice(hosts),
                False,
                '',
                'op',
            )


def prepare(
    db: store.Writer, rnd: random.Random, hosts: list[str], *_meet: Any
) -> None:
    """Prepare devices as the agents of hosts do, with success or without.

    :raises AssertionError: an instance has a device at which it works.
    """
    for _ in range(150):
        host = rnd.choice(hosts)
        for todo in preparing.due(db, host)[:1]:
            address, fence = str(todo.address), int(todo.fence)
            if preparing.may_prepare(db, host, address, fence):
                work_at(db, host, address)
            preparing.prepared(
                db,
                base.POLICY.bounds,
                host,
                address,
                fence,
                rnd.random() < 0.8,
                'output',
            )


def work_at(db: store.Reader, host: str, address: str) -> None:
    """Work at a device for a while.

    :raises AssertionError: an instance has it meanwhile.
    """
    for _ in range(3):
        device = lookup.get(db, f'{host}/{address}')
        if device.instance_uuid is not None:
            raise AssertionError(f'{device.instance_uuid} has {address}')


def operate(
    db: store.Writer, rnd: random.Random, hosts: list[str], *_meet: Any
) -> None:
    """Quarantine, release and clean devices, as an operator does."""
    for _ in range(60):
        device = rnd.choice(lookup.get_all(db))
        action = rnd.choice(('quarantine', 'release', 'release', 'clean'))
        with contextlib.suppress(exception.DeviceStateConflict):
            operators.act(db, device.uuid, action, 'why', 'op')


def die_before_commit(
    db: store.Writer, rnd: random.Random, hosts: list[str], *_meet: Any
) -> None:
    """Claim, and be killed after the last write and before the commit."""
    written: collections.Counter[str] = collections.Counter()

    @sa.event.listens_for(db.engine, 'after_cursor_execute')
    def _count(connection: Any, cursor: Any, text: str, *_: Any) -> None:
        written[text.split()[0]] += 1

    @sa.event.listens_for(db.engine, 'commit')
    def _die(connection: sa.Connection) -> None:
        # The host's lock, the devices, the ledger.
        if written['UPDATE'] >= 2 and written['INSERT'] >= 1:
            os.kill(os.getpid(), signal.SIGKILL)

    claiming.claim(
        db,
        base.POLICY,
        claims.ClaimRequest(
            hosts[0],
            base.new_id(),
            [base.request('gpu', count=2), base.request('vf')],
            'claimer',
        ),
    )
