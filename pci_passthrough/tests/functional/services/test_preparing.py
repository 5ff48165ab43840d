# SPDX-License-Identifier: Apache-2.0
"""Agents that end at every step of a preparation, with a real conductor.

A device is never handed on uncleaned, and never touched while it is held.
"""

import collections
from collections.abc import Callable
import pathlib
from typing import Any
from typing import ClassVar

import fixtures
import testtools

from pci_passthrough import claims
from pci_passthrough import conf as conf_module
from pci_passthrough import exception
from pci_passthrough import handlers
from pci_passthrough import objects
from pci_passthrough import rpc
from pci_passthrough import store
from pci_passthrough.demo import inventory
from pci_passthrough.demo import testdriver
from pci_passthrough.handlers import registry as registry_module
from pci_passthrough.handlers import verb_process
from pci_passthrough.handlers import verb_run
from pci_passthrough.services import agent
from pci_passthrough.services import conductor
from pci_passthrough.services import device_use
from pci_passthrough.services import preparing
from pci_passthrough.store.claims import claiming
from pci_passthrough.store.claims import transitions
from pci_passthrough.store.devices import lookup
from pci_passthrough.store.pci_flavors import editing
from pci_passthrough.tests import sqlite
from pci_passthrough.tests.functional.store import base as store_base

_HOST = 'compute-1'
_GPU = '{"match": {"class": "display"}, "handler": ["wash", "rinse"]}'


class _Killed(BaseException):
    """The agent ends here, as by SIGKILL."""


class _Wash(handlers.DeviceHandler):
    """Calls back, and does nothing else."""

    on_verb: ClassVar[Callable[[str, str], None]]
    name: ClassVar[str] = 'wash'

    def supports(self, device: handlers.Device) -> bool:
        return True

    def clean(
        self, device: handlers.Device, progress: handlers.Progress
    ) -> str:
        progress(50, 'half clean')
        _Wash.on_verb(f'{self.name} clean', device.address)
        return 'clean'

    def verify(
        self, device: handlers.Device, progress: handlers.Progress
    ) -> str:
        _Wash.on_verb(f'{self.name} verify', device.address)
        return 'verified'

    def setup(
        self, device: handlers.Device, progress: handlers.Progress
    ) -> str:
        _Wash.on_verb(f'{self.name} setup', device.address)
        return 'set up'


class _Rinse(_Wash):
    name = 'rinse'


#: What must have been done since a device came back.
_ALL = [
    f'{name} {verb}'
    for verb in ('clean', 'verify', 'setup')
    for name in ('wash', 'rinse')
]


class _Points:
    """Counts the points at which an agent can end, and ends it at one."""

    def __init__(self, kill_at: int | None) -> None:
        self.passed: list[str] = []
        self._kill_at = kill_at
        self.hooks: dict[str, Callable[[], None]] = {}

    def __call__(self, name: str) -> None:
        self.passed.append(name)
        hook = self.hooks.pop(name, None)
        if hook is not None:
            hook()
        if len(self.passed) == self._kill_at:
            raise _Killed(name)


class _Client:
    """A conductor's client, with a point before and after each call."""

    def __init__(self, client: rpc.ConductorClient, points: _Points) -> None:
        self._client = client
        self._points = points

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._client, name)

        def call_between_points(*arguments: Any) -> Any:
            self._points(f'before {name}')
            result = call(*arguments)
            self._points(f'after {name}')
            return result

        return call_between_points


class _Forgetful(preparing.Preparing):
    """Takes for done what an agent before it has begun: wrong."""

    has_begun: ClassVar[set[str]] = set()

    def _prepare(
        self, preparation: objects.Preparation
    ) -> preparing._Result | None:
        if preparation.address in self.has_begun:
            return preparing._Result(True, '')
        self.has_begun.add(preparation.address)
        return super()._prepare(preparation)


class PreparingTest(testtools.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.useFixture(fixtures.FakeLogger(level=30))
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.useFixture(
            fixtures.MonkeyPatch(
                f'{registry_module.__name__}.SHIPPED',
                {'wash': _Wash, 'rinse': _Rinse},
            )
        )
        _Wash.on_verb = self.note_verb
        self.db = store.Writer(sqlite.create(self.folder / 'db'))
        self.addCleanup(self.db.close)
        shape = inventory.HostShape(
            _HOST, nics=1, vfs=1, gpus=1, consumer_gpus=0
        )
        self.host = testdriver.write_host(
            inventory.build_host(shape), self.folder
        )
        self.conf = self.load()
        service = conductor.ConductorService(self.conf)
        service.start()
        self.addCleanup(service.stop)
        self.client = rpc.ConductorClient(rpc.get_transport(self.conf), 60)
        self.addCleanup(self.client.close)
        #: what was done since the device came back, by the agent's number
        self.done: list[tuple[int, str]] = []
        self.agents = 0
        self.points = _Points(None)
        self.mistakes: list[str] = []
        agent.AgentService(self.conf).report_once()
        [self.device] = lookup.get_all(self.db)
        editing.create(self.db, 'gpu', None, match=[{'class': 'display'}])

    def load(self) -> Any:
        config = self.folder / 'agent.conf'
        config.write_text(
            '[DEFAULT]\n'
            f'transport_url = fake:/\nhost = {_HOST}\n'
            f'[database]\nconnection = sqlite:///{self.folder}/db\n'
            f'[agent]\nconnection_uri = {self.host.uri}\n'
            f'host_root = {self.host.host_root}\npci_information = {_GPU}\n'
        )
        return conf_module.load([f'--config-file={config}'], 'test')

    def note_verb(self, verb: str, address: str) -> None:
        device = self.now()
        if device.status != 'cleaning' or device.instance_uuid is not None:
            self.mistakes.append(f'{verb} of a device that is {device.status}')
        self.points(f'begin of {verb}')
        self.done.append((self.agents, verb))
        self.points(f'end of {verb}')

    def now(self) -> objects.PciDevice:
        """Return the device as the database has it."""
        return lookup.get(self.db, str(self.device.uuid))

    def agent(
        self,
        points: _Points,
        kind: type[preparing.Preparing] = preparing.Preparing,
    ) -> preparing.Preparing:
        """Return the preparations of a new agent."""
        self.agents += 1
        self.points = points
        registry = handlers.Registry(handlers.Host(str(self.host.host_root)))
        return kind(
            _Client(self.client, points),
            _HOST,
            registry,
            look=lambda address: handlers.Device.of(self.now()),
            run_verb=self.run_verb,
            request=lambda verb, text, device: verb_process.Request(
                verb=verb, handler=text, device=device, host=registry.host
            ),
            processes=1,
            longest_pause=0,
            on_defect=self.note_defect,
        )

    def run_verb(
        self,
        request: verb_process.Request,
        on_progress: handlers.Progress,
        still_wanted: Callable[[], bool],
    ) -> verb_run.Outcome:
        """Run a verb in this process."""
        return verb_run.Outcome(True, verb_process.run(request, on_progress))

    def note_defect(self, error: BaseException) -> None:
        if not isinstance(error, _Killed):
            self.mistakes.append(f'defect {error!r}')

    def poll(self, running: preparing.Preparing) -> None:
        """Let an agent prepare what there is, to its end or the agent's."""
        try:
            running.poll()
        except _Killed:
            pass
        while not running.is_idle:
            for thread in list(running._running.values()):
                thread.join()

    def hold(self) -> str:
        """Claim the device for an instance; return the instance's UUID."""
        instance = store_base.new_id()
        claiming.claim(
            self.db,
            store_base.POLICY,
            claims.ClaimRequest(
                _HOST, instance, [store_base.request('gpu')], 'test'
            ),
        )
        transitions.allocate(self.db, _HOST, instance, 'test')
        return instance

    def give_back(self, instance: str) -> None:
        self.client.free(_HOST, instance, 'test')
        del self.done[:]

    def check_handed_on(self, expected: list[str]) -> None:
        """Note a mistake unless one agent has done all, in its order."""
        if self.now().status == 'available':
            last = self.done[-len(expected) :]
            if [verb for _, verb in last] != expected or len(
                {number for number, _ in last}
            ) != 1:
                self.mistakes.append(f'handed on after {self.done}')

    def prepare_with_a_kill(
        self,
        kill_at: int,
        expected: list[str],
        kind: type[preparing.Preparing] = preparing.Preparing,
    ) -> bool:
        """Kill the first agent at a point; return whether it got there."""
        points = _Points(kill_at)
        self.poll(self.agent(points, kind))
        was_killed = len(points.passed) == kill_at
        self.check_handed_on(expected)
        if was_killed:
            self.poll(self.agent(_Points(None), kind))
            self.check_handed_on(expected)
        self.assertEqual('available', self.now().status)
        return was_killed

    def test_killed_at_each_step_of_clean(self) -> None:
        self.assertEqual('cleaning', self.now().status)
        self.poll(self.agent(_Points(None)))
        kills = 0
        was_killed = True
        while was_killed:
            self.give_back(self.hold())
            was_killed = self.prepare_with_a_kill(kills + 1, _ALL)
            kills += was_killed
        # Six verbs with begin and end, six questions, and the two others.
        self.assertGreater(kills, 30)
        self.assertEqual([], self.mistakes)

    def test_killed_at_each_step_of_setup(self) -> None:
        kills = 0
        was_killed = True
        while was_killed:
            self.assertEqual('setup', self.now().preparation_step)
            was_killed = self.prepare_with_a_kill(kills + 1, _ALL[-2:])
            kills += was_killed
            self.offer_anew()
        self.assertGreater(kills, 10)
        self.assertEqual([], self.mistakes)

    def offer_anew(self) -> None:
        """Let the host refuse the device for a while."""
        self.conf.set_override('pci_information', [], group='agent')
        agent.AgentService(self.conf).report_once()
        self.conf.clear_override('pci_information', group='agent')
        agent.AgentService(self.conf).report_once()
        [self.device] = lookup.get_all(self.db)
        del self.done[:]

    def test_control_of_the_kills(self) -> None:
        """An agent that goes on where another one ended is found out."""
        self.poll(self.agent(_Points(None)))
        found = collections.Counter[bool]()
        for kill_at in range(1, 20):
            _Forgetful.has_begun.clear()
            self.give_back(self.hold())
            self.prepare_with_a_kill(kill_at, _ALL, _Forgetful)
            found[bool(self.mistakes)] += 1
            del self.mistakes[:]
        self.assertGreater(found[True], 10)

    def late_agent(self, kind: Callable[[_Points], _Client]) -> None:
        """One agent has its list, another one works, a guest gets it."""
        self.poll(self.agent(_Points(None)))
        self.give_back(self.hold())
        points = _Points(None)
        late = self.agent(points)
        late._client = kind(points)

        def overtake() -> None:
            self.poll(self.agent(_Points(None)))
            self.assertEqual('available', self.now().status)
            self.instance = self.hold()
            self.points = points

        points.hooks['after preparations'] = overtake
        self.poll(late)
        self.assertEqual('allocated', self.now().status)
        self.assertEqual(self.instance, self.now().instance_uuid)

    def test_late_agent_does_not_touch_a_held_device(self) -> None:
        self.late_agent(lambda points: _Client(self.client, points))
        self.assertEqual([], self.mistakes)

    def test_control_of_the_late_agent(self) -> None:
        class _Deaf(_Client):
            def may_prepare(self, *_arguments: Any) -> bool:
                return True

        self.late_agent(lambda points: _Deaf(self.client, points))
        self.assertIn('allocated', self.mistakes[0])

    def test_result_is_sent_again_instead_of_the_work(self) -> None:
        self.poll(self.agent(_Points(None)))
        self.give_back(self.hold())
        points = _Points(None)
        running = self.agent(points)

        def lose() -> None:
            raise exception.ConductorUnavailable('a conductor is away')

        points.hooks['before prepared'] = lose
        self.poll(running)
        self.assertEqual('cleaning', self.now().status)
        self.assertEqual(len(_ALL), len(self.done))
        self.poll(running)
        self.assertEqual('available', self.now().status)
        self.assertEqual(len(_ALL), len(self.done))
        self.assertEqual([], self.mistakes)

    def go_away_after_clean(self, running: preparing.Preparing) -> None:
        """Let no conductor say whether the device may be verified."""

        def lose() -> None:
            raise exception.ConductorUnavailable('a conductor is away')

        self.points.hooks['end of rinse clean'] = lambda: (
            self.points.hooks.update({'before may_prepare': lose})
        )
        self.poll(running)
        self.assertEqual(_ALL[:2], [verb for _, verb in self.done])

    def test_work_goes_on_when_a_conductor_answers_again(self) -> None:
        self.poll(self.agent(_Points(None)))
        self.give_back(self.hold())
        running = self.agent(_Points(None))
        self.go_away_after_clean(running)
        self.poll(running)
        self.check_handed_on(_ALL)
        self.assertEqual('available', self.now().status)
        self.assertEqual(_ALL, [verb for _, verb in self.done])
        # The next guest's traces are no part of that.
        self.give_back(self.hold())
        self.poll(running)
        self.assertEqual(_ALL, [verb for _, verb in self.done])
        self.assertEqual([], self.mistakes)

    def test_work_begins_anew_if_somebody_has_touched_the_device(self) -> None:
        self.poll(self.agent(_Points(None)))
        self.give_back(self.hold())
        running = self.agent(_Points(None))
        self.go_away_after_clean(running)
        look = running._look

        def see_a_guest(preparation: objects.Preparation) -> handlers.Device:
            raise device_use.UntouchableDevice('the domain g0 has it')

        running._look = see_a_guest
        self.poll(running)
        running._look = look
        self.poll(running)
        self.assertEqual(_ALL[:2] + _ALL, [verb for _, verb in self.done])
        self.assertEqual([], self.mistakes)

    def test_failure_quarantines_with_its_output(self) -> None:
        self.poll(self.agent(_Points(None)))
        self.give_back(self.hold())
        running = self.agent(_Points(None))

        def fail(verb: str, address: str) -> None:
            self.done.append((self.agents, verb))
            if verb == 'rinse verify':
                raise handlers.HandlerError('a stain is left', 'rinsed')

        _Wash.on_verb = fail
        running._run_verb = _failing
        for attempt in (1, 2, 3):
            self.assertEqual('cleaning', self.now().status)
            self.assertEqual(attempt, self.now().preparation_attempt)
            self.poll(running)
        device = self.now()
        self.assertEqual('quarantined', device.status)
        self.assertIn('a stain is left', str(device.quarantine_reason))
        self.assertEqual(3 * _ALL[:4], [verb for _, verb in self.done])
        self.poll(running)
        self.assertEqual(12, len(self.done))

    def test_untouchable_device_is_left_alone(self) -> None:
        def look(preparation: objects.Preparation) -> handlers.Device:
            raise device_use.UntouchableDevice('the domain g0 has it')

        running = self.agent(_Points(None))
        running._look = look
        self.poll(running)
        device = self.now()
        self.assertEqual('cleaning', device.status)
        self.assertIn('g0', str(device.preparation_text))
        self.assertEqual(([], []), (self.done, self.mistakes))


def _failing(
    request: verb_process.Request,
    on_progress: handlers.Progress,
    still_wanted: Callable[[], bool],
) -> verb_run.Outcome:
    try:
        return verb_run.Outcome(True, verb_process.run(request, on_progress))
    except handlers.HandlerError as error:
        return verb_run.Outcome(False, f'{error.output}\n{error}')
