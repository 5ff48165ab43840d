# SPDX-License-Identifier: Apache-2.0
"""Prepares devices: runs the handlers of those that the conductor names."""

from collections.abc import Callable
from collections.abc import Sequence
import dataclasses
import threading
import time
from typing import Protocol

from oslo_log import log

from pci_passthrough import exception
from pci_passthrough import handlers
from pci_passthrough import objects
from pci_passthrough.handlers import verb_process
from pci_passthrough.handlers import verb_run
from pci_passthrough.objects import fields
from pci_passthrough.rpc import older_conductors
from pci_passthrough.services import backoff
from pci_passthrough.services import device_use
from pci_passthrough.services import turns as turns_module

LOG = log.getLogger(__name__)

#: Seconds between two reports of progress.
_PROGRESS_INTERVAL = 5.0

#: Characters of the output of all verbs that are reported; the end tells most.
_MOST_OUTPUT = 8000


class Conductor(Protocol):
    """The calls of ``rpc.ConductorClient`` that are needed here."""

    def preparations(self, host: str) -> list[objects.Preparation]: ...

    def may_prepare(self, host: str, address: str, fence: int) -> bool: ...

    def preparation_progress(
        self,
        host: str,
        address: str,
        fence: int,
        percent: int | None,
        text: str,
    ) -> None: ...

    def prepared(
        self,
        host: str,
        address: str,
        fence: int,
        succeeded: bool,
        output: str,
    ) -> str: ...


#: Runs a verb: the request, its progress, whether it is still wanted.
RunVerb = Callable[
    [
        verb_process.Request,
        Callable[[int | None, str], None],
        Callable[[], bool],
    ],
    verb_run.Outcome,
]

#: Returns the facts about a device that these handlers may touch now, or
#: raises device_use.UntouchableDevice or an Unavailable.
Look = Callable[[objects.Preparation], handlers.Device]


@dataclasses.dataclass(frozen=True, slots=True)
class _Result:
    """The end of an attempt, as it is reported."""

    succeeded: bool
    output: str


class Preparing:
    """Runs the handlers of a host's devices, each device in its own thread.

    Everything that must outlive this process is the conductor's: it names a
    device until it has the result. So a device that was being cleaned when
    the agent ended is cleaned again from the beginning. A result that no
    conductor has got is kept, and is sent again instead. If no conductor says
    whether the next verb may run, the agent goes on with that verb later.

    :param client: for this object alone; its threads share it.
    :param host: this host's name.
    :param registry: the handlers.
    :param look: the host's own check, before each verb.
    :param run_verb: runs one verb, and always returns.
    :param request: the request of a verb with all but its own values.
    :param processes: devices at the same time.
    :param longest_pause: most seconds until a failed device is tried again.
    :param on_end: called when an attempt has ended and ``poll`` is due, with
        whether the device has been prepared.
    :param on_defect: called with an unexpected error of a thread.
    :param has_handlers: whether devices of this host have handlers now; if
        not, a conductor that knows nothing of them does no harm.
    :param turns: shared with all that acts on devices.
    :param place_of: returns the ``device_lock.place_of`` a device, from its
        address.
    """

    def __init__(
        self,
        client: Conductor,
        host: str,
        registry: handlers.Registry,
        look: Look,
        run_verb: RunVerb,
        request: Callable[
            [handlers.Verb, str, handlers.Device], verb_process.Request
        ],
        processes: int,
        longest_pause: float,
        on_end: Callable[[bool], None] = lambda is_prepared: None,
        on_defect: Callable[[BaseException], None] = lambda error: None,
        has_handlers: Callable[[], bool] = lambda: True,
        turns: turns_module.Turns | None = None,
        place_of: Callable[[str], str] = lambda address: address,
    ) -> None:
        self._client = client
        self._host = host
        self._registry = registry
        self._look = look
        self._run_verb = run_verb
        self._request = request
        self._processes = processes
        self._longest_pause = longest_pause
        self._on_end = on_end
        self._on_defect = on_defect
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._running: dict[str, threading.Thread] = {}
        #: results that no conductor has answered, by address and fence
        self._results: dict[tuple[str, int], _Result] = {}
        #: outputs of verbs that have succeeded, of attempts that wait for a
        #: conductor, by address and fence
        self._outputs: dict[tuple[str, int], list[str]] = {}
        self._backoffs: dict[str, backoff.Backoff] = {}
        #: monotonic times before which a device is not tried again
        self._not_before: dict[str, float] = {}
        self._has_handlers = has_handlers
        self._turns = turns or turns_module.Turns()
        self._place_of = place_of
        self._is_old_reported = False

    def poll(self) -> None:
        """Ask what is to be prepared, and begin with it; do not wait.

        :raises: ConductorUnavailable
        """
        due = older_conductors.answer_or(
            None, lambda: self._client.preparations(self._host)
        )
        if due is None:
            self._say_once_that_conductors_are_old()
            return
        with self._lock:
            keys = {(item.address, item.fence) for item in due}
            self._results = {
                key: result
                for key, result in self._results.items()
                if key in keys
            }
            self._outputs = {
                key: outputs
                for key, outputs in self._outputs.items()
                if key in keys
            }
            running = set(self._running)
            ended = dict(self._results)
        for preparation in due:
            address = preparation.address
            result = ended.get((address, preparation.fence))
            if result is not None and address not in running:
                self._report(preparation, result)
        for preparation in due:
            address = preparation.address
            if len(running) >= self._processes or self._stopping.is_set():
                break
            if (
                address not in running
                and (address, preparation.fence) not in ended
                and time.monotonic() >= self._not_before.get(address, 0.0)
            ):
                place = self._place_of(address)
                if self._turns.begin(place):
                    running.add(address)
                    self._begin(preparation, place)

    def stop(self) -> None:
        """Let the threads end; they kill their processes when they look."""
        self._stopping.set()

    @property
    def is_idle(self) -> bool:
        """Whether no device is being prepared."""
        return not self._running

    def _say_once_that_conductors_are_old(self) -> None:
        if self._has_handlers() and not self._is_old_reported:
            self._is_old_reported = True
            LOG.warning(
                'Not preparing devices: a conductor is older than RPC 1.5. '
                'Devices get from one instance to the next uncleaned until '
                'all conductors are upgraded'
            )

    def _begin(self, preparation: objects.Preparation, place: str) -> None:
        thread = threading.Thread(
            target=self._work,
            args=(preparation, place),
            name=f'pci-prepare-{preparation.address}',
            daemon=True,
        )
        self._running[preparation.address] = thread
        thread.start()

    def _work(self, preparation: objects.Preparation, place: str) -> None:
        address = preparation.address
        result = None
        try:
            result = self._prepare(preparation)
            if result is not None:
                with self._lock:
                    self._results[address, preparation.fence] = result
                self._report(preparation, result)
        except exception.PciPassthroughError as error:
            self._pause(address)
            LOG.warning('Could not go on with %s: %s', address, error.text)
        except BaseException as error:
            self._on_defect(error)
        finally:
            with self._lock:
                self._running.pop(address, None)
            self._turns.end(place)
            if not self._stopping.is_set():
                self._on_end(result is not None and result.succeeded)

    def _prepare(self, preparation: objects.Preparation) -> _Result | None:
        """Run all verbs; return None if they were not to be run to the end.

        :raises: ConductorUnavailable, LibvirtUnavailable
        """
        LOG.info(
            'Preparing %s (%s, attempt %d, fence %d): %s',
            preparation.address,
            preparation.step,
            preparation.attempt,
            preparation.fence,
            ', '.join(preparation.handlers),
        )
        key = preparation.address, preparation.fence
        with self._lock:
            outputs = self._outputs.pop(key, [])
        try:
            chosen = self._registry.handlers(preparation.handlers)
        except exception.InvalidConfiguration as error:
            return _Result(False, error.text)
        work = _work_of(preparation.step, chosen)
        for verb, text in work[len(outputs) :]:
            try:
                outcome = self._run(preparation, verb, text)
            except exception.ConductorUnavailable:
                # What is done stays done as long as the fence is valid.
                with self._lock:
                    self._outputs[key] = outputs
                raise
            if outcome is None:
                return None
            outputs.append(f'{text} {verb}: {outcome.output.strip()}')
            if not outcome.succeeded:
                return _Result(False, _joined(outputs))
        return _Result(True, _joined(outputs))

    def _run(
        self, preparation: objects.Preparation, verb: handlers.Verb, text: str
    ) -> verb_run.Outcome | None:
        """Run a verb; return None if it must not run, or not go on."""
        address, fence = preparation.address, preparation.fence
        progress = _ThrottledProgress(self._client, self._host, preparation)
        try:
            device = self._look(preparation)
        except device_use.UntouchableDevice as error:
            self._pause(address)
            LOG.warning('Not touching %s: %s', address, error)
            progress(None, f'waiting: {error}')
            return None
        progress(None, f'{text} {verb}')
        # Last of all: nothing comes between this answer and the verb.
        if not self._client.may_prepare(self._host, address, fence):
            LOG.info('Not going on with %s: fence %d is over', address, fence)
            return None
        outcome = self._run_verb(
            self._request(verb, text, device),
            progress,
            lambda: self._is_still_wanted(address, fence),
        )
        if self._stopping.is_set():
            # The process was killed; the next agent begins anew.
            return None
        return outcome

    def _is_still_wanted(self, address: str, fence: int) -> bool:
        if self._stopping.is_set():
            return False
        try:
            return self._client.may_prepare(self._host, address, fence)
        except exception.Unavailable:
            # Without a conductor nobody can have got the device.
            return True

    def _report(
        self, preparation: objects.Preparation, result: _Result
    ) -> None:
        """Report a result.

        :raises: ConductorUnavailable; the next ``poll`` reports it again.
        """
        address = preparation.address
        status = self._client.prepared(
            self._host,
            address,
            preparation.fence,
            result.succeeded,
            result.output,
        )
        with self._lock:
            self._results.pop((address, preparation.fence), None)
        if result.succeeded:
            self._backoffs.pop(address, None)
            self._not_before.pop(address, None)
            LOG.info('Prepared %s, which is %s: %s', address, status,
                     result.output)  # fmt: skip
        else:
            self._pause(address)
            LOG.warning(
                'Could not prepare %s, which is %s: %s',
                address,
                status,
                result.output,
            )

    def _pause(self, address: str) -> None:
        pauses = self._backoffs.setdefault(
            address, backoff.Backoff(self._longest_pause)
        )
        self._not_before[address] = time.monotonic() + pauses.failed()


class _ThrottledProgress:
    """Reports progress to the conductor, and not too often.

    A conductor that does not answer does not stop a verb.
    """

    def __init__(
        self,
        client: Conductor,
        host: str,
        preparation: objects.Preparation,
    ) -> None:
        self._client = client
        self._host = host
        self._preparation = preparation
        self._next = 0.0

    def __call__(self, percent: int | None, text: str) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _PROGRESS_INTERVAL
        address = self._preparation.address
        LOG.debug('Progress of %s: %s %s', address, percent, text)
        try:
            self._client.preparation_progress(
                self._host, address, self._preparation.fence, percent, text
            )
        except exception.PciPassthroughError as error:
            LOG.debug('Progress of %s is not reported: %s', address, error)


def _work_of(
    step: str, chosen: Sequence[tuple[str, handlers.DeviceHandler]]
) -> list[tuple[handlers.Verb, str]]:
    """Return the verbs of a step with their handlers, in their order."""
    verbs: tuple[handlers.Verb, ...] = (handlers.Verb.SETUP,)
    if step == fields.PreparationStep.CLEAN:
        verbs = tuple(handlers.Verb)
    return [
        (verb, text)
        for verb in verbs
        for text, handler in chosen
        if verb in handler.verbs()
    ]


def _joined(outputs: Sequence[str]) -> str:
    return '\n'.join(outputs)[-_MOST_OUTPUT:]
