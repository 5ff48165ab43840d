# SPDX-License-Identifier: Apache-2.0
"""Random sequences of events keep the invariants of the design."""

import collections
from collections.abc import Callable
from collections.abc import Iterable
import pathlib
import shutil
import tempfile
import typing
from typing import Any

import fixtures
import hypothesis
from hypothesis import stateful
from hypothesis import strategies as st
import testscenarios
import testtools

from pci_passthrough import claims
from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough import reporting
from pci_passthrough import store
from pci_passthrough.reporting import preparation
from pci_passthrough.store import models
from pci_passthrough.store.claims import claiming
from pci_passthrough.store.claims import starts
from pci_passthrough.store.claims import transitions
from pci_passthrough.store.devices import lookup
from pci_passthrough.store.devices import operators
from pci_passthrough.store.devices import preparing
from pci_passthrough.store.devices import reports
from pci_passthrough.store.pci_flavors import editing
from pci_passthrough.tests import sqlite
from pci_passthrough.tests.functional import servers
from pci_passthrough.tests.functional.store import audit
from pci_passthrough.tests.functional.store import base
from pci_passthrough.tests.functional.store import test_pools

load_tests = testscenarios.load_tests_apply_scenarios

_HOSTS = st.sampled_from(['g', 'h'])
_BUSES = st.sampled_from([1, 2, 3, 4])
_INSTANCES = st.sampled_from(
    [f'00000000-0000-4000-8000-00000000000{n}' for n in range(1, 5)]
)
_REQUESTS = st.lists(
    st.builds(
        lambda names, count: base.request(*names, count=count),
        st.tuples(
            st.sampled_from(
                ['gpu', 'pf', 'vf', 'nic', 'big', 'token', 'vgpu']
            ),
            st.sampled_from(['vf', 'gpu', 'none']),
        ).filter(lambda names: names[0] != names[1]),
        st.sampled_from([1, 1, 1, 2]),
    ),
    min_size=1,
    max_size=2,
)
_NUMBERS = st.integers(0, 30)


def _has_handler(address: str) -> bool:
    """Whether a device of a host is prepared by a handler."""
    return address.startswith(('0000:02:', '0000:04:', '1-'))


_FLEET = (
    base.gpu(1),
    base.gpu(2),
    *base.family(3, 2),
    *base.family(4, 2),
    base.token(1),
    base.vgpu(5, 1),
    base.vgpu(5, 2),
)

#: IOMMU groups that devices share, beside their own ones.
_GROUPS = st.sampled_from([1, 2, None])


class Machine(stateful.RuleBasedStateMachine):
    """Two hosts with GPUs (buses 1 and 2) and NICs (3 and 4).

    And with a USB token and two mediated devices of a GPU that is not offered.

    The GPUs share an IOMMU group, and so do all functions of the second NIC.
    The second GPU, the second NIC and the token have a handler.

    :cvar make_url: makes a database with the schema and PCI flavors only, in
        a directory or on a server, and returns its URL.
    """

    make_url: typing.ClassVar[Callable[[str], str]]

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.mkdtemp()
        self.url = type(self).make_url(self.directory)
        self.db = self._open()
        #: the IOMMU group of devices that do not have their own
        self.groups: dict[tuple[str, str], int | None] = {
            (host, d.address): 1 if d.vendor_id == '10de' else 2
            for host in ('g', 'h')
            for d in _FLEET
            if d.address.startswith(('0000:01:', '0000:02:', '0000:04:'))
        }
        #: what is plugged in, by host
        self.plugged: dict[str, dict[str, objects.PciDevice]] = {
            'g': {},
            'h': {},
        }
        for host in self.plugged:
            self._insert(host, _FLEET)
        self.withdrawn: dict[str, set[str]] = {'g': set(), 'h': set()}
        #: what the agent knows to be acknowledged
        self.acked: dict[str, tuple[reporting.Snapshot, int]] = {}
        #: whose is what: (host, address) to (instance, request, status)
        self.held: dict[tuple[str, str], tuple[str, str, str]] = {}
        #: what instances have had since it was last prepared
        self.unclean: set[tuple[str, str]] = set()
        #: whose guests could not be started with a device, in a row
        self.failed_starts: dict[tuple[str, str], list[str]] = {}
        #: whose last guest could not be started
        self.start_failed: set[tuple[str, str]] = set()
        #: at what the agent is at work, with the fence
        self.working: dict[tuple[str, str], int] = {}

        for host in self.plugged:
            self.report(host, is_full=True)

    def teardown(self) -> None:
        """Remove the database."""
        self.db.close()
        shutil.rmtree(self.directory)

    def _open(self) -> store.Writer:
        return store.Writer(self.url, sqlite_synchronous=False)

    def _insert(self, host: str, devices: Iterable[objects.PciDevice]) -> None:
        for device in devices:
            group = self.groups.get((host, device.address), device.iommu_group)
            self.plugged[host][device.address] = device.replace(
                iommu_group=group,
                handlers=['reset'] if _has_handler(device.address) else [],
            )

    # -- the host --

    @stateful.rule(host=_HOSTS, is_full=st.booleans())
    def report(self, host: str, is_full: bool) -> None:
        """The agent reports; the rules below only change the host."""
        snapshot = reporting.Snapshot.of(
            [
                device
                for address, device in self.plugged[host].items()
                if address not in self.withdrawn[host]
            ],
            self.withdrawn[host] & self.plugged[host].keys(),
        )
        header: dict[str, Any] = {
            'host': host,
            'agent_version': '1',
            'sequence': next(base.sequence),
        }
        if is_full or host not in self.acked:
            report = snapshot.full_report(**header)
        else:
            report = snapshot.report_since(*self.acked[host], **header)
        ack = reports.apply(self.db, report)
        assert ack.wanted == objects.report.Wanted.NOTHING
        self.acked[host] = (snapshot, ack.generation)

    @stateful.rule(host=_HOSTS, bus=_BUSES, is_told=st.booleans())
    def unplug(self, host: str, bus: int, is_told: bool = False) -> None:
        """A card is removed, with all its functions."""
        for address in list(self.plugged[host]):
            if address.startswith(f'0000:{bus:02x}:'):
                del self.plugged[host][address]
                self.working.pop((host, address), None)
        if is_told:
            self.report(host, is_full=False)

    @stateful.rule(host=_HOSTS, bus=_BUSES, tag=st.booleans())
    def plug(self, host: str, bus: int, tag: bool) -> None:
        """A card is inserted, perhaps with another tag than before."""
        tags = {'extra_info': {'size': 'big'} if tag else {}}
        fleet = (
            [base.gpu(bus, **tags)] if bus < 3 else base.family(bus, 2, **tags)
        )
        self._insert(host, fleet)

    @stateful.rule(host=_HOSTS, bus=st.sampled_from([3, 4]))
    def lose_vfs(self, host: str, bus: int) -> None:
        """A physical function becomes an ordinary device."""
        if (host, base.pf(bus).address) not in self.held:
            self.unplug(host, bus)
            self._insert(host, [base.pf(bus, dev_type='type-PCI')])

    @stateful.rule(host=_HOSTS, bus=st.sampled_from([3, 4]), vfs=_NUMBERS)
    def gain_vfs(self, host: str, bus: int, vfs: int) -> None:
        """A physical function gets another number of virtual functions."""
        if (host, base.pf(bus).address) not in self.held:
            self.unplug(host, bus)
            self._insert(host, base.family(bus, vfs % 4))

    @stateful.rule(host=_HOSTS, number=_NUMBERS, group=_GROUPS)
    def regroup(self, host: str, number: int, group: int | None) -> None:
        """A device that nobody holds gets another IOMMU group.

        The agent reports at once: a claim before the report could not know.
        """
        devices = sorted(self.plugged[host].items())
        if devices:
            address, device = devices[number % len(devices)]
            if (host, address) not in self.held:
                self.groups[host, address] = group
                self._insert(host, [device])
                self.report(host, is_full=False)

    @stateful.rule(host=_HOSTS, number=_NUMBERS)
    def offer_or_withdraw(self, host: str, number: int) -> None:
        """pci_information offers a device, or no longer offers it."""
        plugged = sorted(self.plugged[host])
        if plugged:
            self.withdrawn[host] ^= {plugged[number % len(plugged)]}

    # -- Nova --

    @stateful.rule(host=_HOSTS, instance=_INSTANCES, requests=_REQUESTS)
    def claim(
        self,
        host: str,
        instance: str,
        requests: list[objects.PciRequest],
    ) -> None:
        """A claim gets free devices that fit, each once, or nothing."""
        free = {
            (d.host, d.address)
            for d in test_pools.free_devices(lookup.get_all(self.db), instance)
        }
        # The same request objects may be drawn twice.
        requests = [r.replace(request_id=base.new_id()) for r in requests]
        request = claims.ClaimRequest(host, instance, requests, 'nova')
        try:
            claimed = claiming.claim(self.db, base.POLICY, request)
        except (exception.ClaimRefused, exception.HostNotFound):
            return
        taken = {(d.host, d.address) for d in claimed}
        assert taken <= free and len(taken) == len(claimed)
        counts = collections.Counter(d.request_id for d in claimed)
        assert counts == {r.request_id: r.count for r in requests}
        for device in claimed:
            key = (str(device.host), str(device.address))
            self.held[key] = (instance, str(device.request_id), 'claimed')
        assert claiming.claim(self.db, base.POLICY, request) == claimed

    @stateful.rule(host=_HOSTS, instance=_INSTANCES)
    def allocate(self, host: str, instance: str) -> None:
        """Claimed devices are allocated."""
        try:
            transitions.allocate(self.db, host, instance, 'nova')
        except (exception.ClaimMismatch, exception.HostNotFound):
            assert not self._keys_of(host, instance)
        for key in self._keys_of(host, instance):
            self.held[key] = (*self.held[key][:2], 'allocated')

    @stateful.rule(host=_HOSTS, instance=_INSTANCES)
    def abort(self, host: str, instance: str) -> None:
        """Claimed devices that are not allocated are returned."""
        transitions.abort(self.db, host, instance, 'nova')
        for key in self._keys_of(host, instance):
            if self.held[key][2] == 'claimed':
                self._give_back(key)

    @stateful.rule(host=st.one_of(st.none(), _HOSTS), instance=_INSTANCES)
    def free(self, host: str | None, instance: str) -> None:
        """All devices of an instance are returned."""
        transitions.free(self.db, instance, 'nova', host)
        for key in self._keys_of(host, instance):
            self._give_back(key)

    @stateful.rule(host=_HOSTS, instance=_INSTANCES, runs=st.booleans())
    def start(self, host: str, instance: str, runs: bool) -> None:
        """A guest with devices starts, or libvirt cannot start it."""
        keys = self._keys_of(host, instance)
        try:
            if runs:
                starts.succeeded(self.db, host, instance, 'nova')
                blamed = set()
            else:
                blamed = set(
                    starts.failed(self.db, host, instance, 'busy', 'nova')
                )
        except exception.HostNotFound:
            assert not keys
            return
        assert blamed == (set() if runs else {a for _, a in keys})
        for key in keys:
            if runs:
                self.failed_starts.pop(key, None)
                self.start_failed.discard(key)
            else:
                self.start_failed.add(key)

    def _give_back(self, key: tuple[str, str]) -> None:
        instance, _, _ = self.held.pop(key)
        if key in self.start_failed:
            self.start_failed.discard(key)
            failed = self.failed_starts.setdefault(key, [])
            failed.append(instance)
            if len(failed) >= 3 and len(set(failed)) >= 2:
                device = lookup.get(self.db, '/'.join(key))
                assert device.status == 'quarantined'
        if _has_handler(key[1]):
            self.unclean.add(key)

    def _keys_of(
        self, host: str | None, instance: str
    ) -> list[tuple[str, str]]:
        return [
            key
            for key, (owner, _, _) in self.held.items()
            if owner == instance and host in (None, key[0])
        ]

    # -- operators --

    @stateful.rule(number=_NUMBERS, out=st.booleans())
    def disable_or_enable(self, number: int, out: bool) -> None:
        """A device goes out of service, or comes back."""
        devices = lookup.get_all(self.db)
        if devices:
            device = devices[number % len(devices)]
            change = operators.disable if out else operators.enable
            change(self.db, device.uuid, 'hot', 'op')

    @stateful.rule(
        number=_NUMBERS,
        action=st.sampled_from(['quarantine', 'release', 'clean']),
    )
    def move(self, number: int, action: str) -> None:
        """A device is put into quarantine, cleaned or released."""
        devices = lookup.get_all(self.db)
        if not devices:
            return
        device = devices[number % len(devices)]
        key = (str(device.host), str(device.address))
        try:
            operators.move(self.db, device.uuid, action, 'why', 'op')
        except exception.DeviceStateConflict:
            at_work = device.preparation_running is not None
            assert key in self.held or at_work or action == 'release'
        except exception.Invalid:
            assert action == 'clean' and not device.handlers
        else:
            if (device.status, action) == ('quarantined', 'release'):
                # The operator answers for it.
                self.unclean.discard(key)
                self.failed_starts.pop(key, None)

    # -- handlers --

    @stateful.rule(host=_HOSTS, number=_NUMBERS, is_done=st.booleans())
    def begin_to_prepare(
        self, host: str, number: int, is_done: bool = False
    ) -> None:
        """The agent begins to prepare a device, which nobody holds."""
        due = preparing.due(self.db, host)
        if not due:
            return
        todo = due[number % len(due)]
        key = (host, str(todo.address))
        assert preparing.may_prepare(self.db, host, todo.address, todo.fence)
        assert key not in self.held
        self.working[key] = todo.fence
        if is_done:
            self.end_of_preparation(number=0, succeeded=True, key=key)

    @stateful.rule(number=_NUMBERS, succeeded=st.booleans())
    def end_of_preparation(
        self,
        number: int,
        succeeded: bool,
        key: tuple[str, str] | None = None,
    ) -> None:
        """The agent reports how it went, which may be news of old."""
        if not self.working:
            return
        keys = sorted(self.working)
        host, address = key = key or keys[number % len(keys)]
        fence = self.working.pop(key)
        try:
            before = lookup.get(self.db, f'{host}/{address}')
            status = preparing.prepared(
                self.db,
                base.POLICY.bounds,
                host,
                address,
                fence,
                succeeded,
                'output',
            )
        except exception.PciDeviceNotFound:
            return
        if before.preparation == fence and succeeded:
            assert status in ('available', 'quarantined')
            self.unclean.discard(key)
        elif status == 'available':
            assert before.status == 'available'

    @stateful.rule()
    def restart(self) -> None:
        """Another conductor takes over."""
        self.db.close()
        self.db = self._open()

    # -- what always holds --

    @stateful.invariant()
    def nobody_gets_what_is_not_clean(self) -> None:
        """No unclean device is available, and none at work is held."""
        for device in lookup.get_all(self.db):
            key = (str(device.host), str(device.address))
            if key in self.unclean:
                assert device.status in ('cleaning', 'quarantined')
            if key in self.working:
                assert device.status != 'available' or (
                    device.preparation != self.working[key]
                )
        assert not self.working.keys() & self.held.keys()
        assert not self.unclean & self.held.keys()

    @stateful.invariant()
    def failed_starts_count(self) -> None:
        """Each device counts its own, until its record is gone."""
        counts = {
            (d.host, d.address): d.failed_starts
            for d in lookup.get_all(self.db)
        }
        for key in self.failed_starts.keys() - counts.keys():
            del self.failed_starts[key]
        for key, count in counts.items():
            assert count == len(self.failed_starts.get(key, ())), key

    @stateful.invariant()
    def holders_are_as_they_should(self) -> None:
        """Every held device has its owner, and no other device has one."""
        devices = lookup.get_all(self.db)
        for device in devices:
            owned = device.status in ('claimed', 'allocated')
            assert owned == (device.instance_uuid is not None)
        assert self.held == {
            (d.host, d.address): (d.instance_uuid, d.request_id, d.status)
            for d in devices
            if d.instance_uuid is not None
        }

    @stateful.invariant()
    def pf_or_vfs(self) -> None:
        """Never are both held."""
        devices = lookup.get_all(self.db)
        held = {(d.host, d.address) for d in devices if d.instance_uuid}
        for device in devices:
            if device.instance_uuid:
                assert (device.host, device.parent_addr) not in held

    @stateful.invariant()
    def one_instance_for_a_group(self) -> None:
        """Never do two instances hold devices of one IOMMU group."""
        holders: dict[tuple[str, int], str] = {}
        for device in lookup.get_all(self.db):
            if device.instance_uuid and device.iommu_group is not None:
                holder = holders.setdefault(
                    (device.host, device.iommu_group), device.instance_uuid
                )
                assert holder == device.instance_uuid

    @stateful.invariant()
    def pools_equal_rows(self) -> None:
        """Pools equal a count of the rows."""
        devices = lookup.get_all(self.db)
        pools = store.PciDevicePoolList.get_all(self.db, base.LIMITS)
        for rows, field in (
            (devices, 'total'),
            (test_pools.free_devices(devices), 'count'),
        ):
            assert test_pools.counted(rows) == {
                test_pools.key_of(pool): getattr(pool, field)
                for pool in pools
                if getattr(pool, field)
            }

    @stateful.invariant()
    def ledger_tells_it_all(self) -> None:
        """The ledger, replayed, gives the current states and owners."""
        assert audit.transitions(self.db) == []
        events = models.pci_device_events
        with self.db.read() as connection:
            lines = connection.execute(events.select().order_by(events.c.id))
            states: dict[str, str | None] = {}
            owners: dict[str, str] = {}
            for line in lines:
                uuid = line.device_uuid
                assert line.from_state == states.get(uuid), line
                states[uuid] = line.to_state
                if line.action == 'claim':
                    assert uuid not in owners, line
                    owners[uuid] = line.instance_uuid
                elif line.action in ('abort', 'free'):
                    assert owners.pop(uuid) == line.instance_uuid, line
        devices = lookup.get_all(self.db)
        assert {d.uuid: d.state for d in devices} == {
            uuid: state for uuid, state in states.items() if state
        }
        assert owners == {
            d.uuid: d.instance_uuid for d in devices if d.instance_uuid
        }


class LifecycleTest(testtools.TestCase):
    scenarios = base.SCENARIOS
    server: type[servers.Database] | None = None

    def test_invariants(self) -> None:
        Machine.make_url = staticmethod(
            _copied(self) if self.server is None else self._emptied
        )
        examples, steps = (25, 40) if self.server is None else (2, 20)
        stateful.run_state_machine_as_test(
            Machine,
            settings=hypothesis.settings(
                max_examples=examples,
                stateful_step_count=steps,
                deadline=None,
                database=None,
                suppress_health_check=list(hypothesis.HealthCheck),
            ),
        )

    def _emptied(self, _folder: str) -> str:
        """Empty the server's database."""
        url = base.empty_url(typing.cast(Any, self.server))
        db = store.Writer(url)
        _create_flavors(db)
        db.close()
        return url


def _copied(test: testtools.TestCase) -> Callable[[str], str]:
    """Return a function that copies a SQLite database."""
    template = pathlib.Path(test.useFixture(fixtures.TempDir()).path) / 'db'
    db = store.Writer(sqlite.create(template))
    _create_flavors(db)
    with db.read() as connection:
        connection.exec_driver_sql('PRAGMA wal_checkpoint(TRUNCATE)')
    db.close()
    return lambda folder: f'sqlite:///{shutil.copy(template, folder)}'


class ControlTest(testtools.TestCase):
    """The machine notices devices that are handed on uncleaned."""

    def test_given_back(self) -> None:
        Machine.make_url = staticmethod(_copied(self))
        machine = Machine()
        self.addCleanup(machine.teardown)
        # The first GPU has no handler.
        without = sorted(machine.plugged['g']).index(base.gpu(1).address)
        machine.offer_or_withdraw(host='g', number=without)
        machine.report(host='g', is_full=False)
        while preparing.due(machine.db, 'g'):
            machine.begin_to_prepare(host='g', number=0, is_done=True)
        instance = base.new_id()
        machine.claim(
            host='g', instance=instance, requests=[base.request('gpu')]
        )
        self.useFixture(
            fixtures.MonkeyPatch(
                f'{preparation.__name__}.given_back',
                lambda device, bounds: {'status': 'available'},
            )
        )
        machine.nobody_gets_what_is_not_clean()
        machine.free(host='g', instance=instance)
        self.assertRaises(
            AssertionError, machine.nobody_gets_what_is_not_clean
        )


def _create_flavors(db: store.Writer) -> None:
    flavors: dict[str, dict[str, Any]] = base.FLAVORS | {
        'none': {'vendor_id': 'ffff'}
    }
    for name, term in flavors.items():
        editing.create(db, name, None, match=[term])
