# SPDX-License-Identifier: Apache-2.0
"""Runs one verb in a process of its own, and never waits for ever.

A write to sysfs can block in the kernel until a guest ends, and the process
that writes cannot even be killed. Such a process is left behind, and named.
"""

from collections.abc import Callable
import contextlib
import dataclasses
import json
import os
import selectors
import signal
import subprocess
import sys
import time

from pci_passthrough.handlers import device_lock
from pci_passthrough.handlers import verb_process

#: Seconds for a process to end after SIGKILL.
_END = 5.0
_PAUSE = 0.05
#: Seconds for a process to end by itself.
_GRACE = 3.0

#: Seconds between two questions whether the verb is still wanted.
QUESTION_INTERVAL = 10.0

#: Characters that are kept of a verb's output; the end tells most.
MOST_OUTPUT = 4096

#: Bytes of one line of an answer. A handler that writes more has a defect.
_LONGEST_LINE = 1 << 20


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """The end of a verb."""

    succeeded: bool
    #: what the handler says, or why it failed
    output: str


def run(
    request: verb_process.Request,
    timeout: float,
    on_progress: Callable[[int | None, str], None],
    still_wanted: Callable[[], bool],
    question_interval: float = QUESTION_INTERVAL,
) -> Outcome:
    """Run a verb; return when it has ended, failed, or taken too long.

    :param timeout: seconds.
    :param on_progress: called with percent and text.
    :param still_wanted: asked from time to time; after False the process is
        killed.
    :raises: the errors of ``still_wanted`` and ``on_progress``, after the
        process was killed.
    """
    process = subprocess.Popen(  # noqa: S603 - this program, no shell
        [sys.executable, '-W', 'ignore', '-m', verb_process.__name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        outcome = _Conversation(
            process, on_progress, still_wanted, question_interval
        ).hold(request, time.monotonic() + timeout)
        if outcome is None:
            outcome = Outcome(False, f'did not end within {timeout:g} seconds')
    finally:
        is_ended = _end(process)
    if outcome.succeeded and is_ended:
        return outcome
    name = f'process {process.pid}'
    holder = _wait_for_lock(request) or (None if is_ended else name)
    if holder is None:
        return outcome
    return Outcome(
        False,
        f'{outcome.output}\nleft behind: {holder}. It does not end, and so '
        'waits in the kernel, perhaps for a guest; nothing else is done with '
        'the device until it ends',
    )


def _wait_for_lock(request: verb_process.Request) -> str | None:
    """Wait until nobody has the device's lock; return who keeps it."""
    deadline = time.monotonic() + _END
    place = device_lock.place_of(request.device)
    while holder := device_lock.holder(request.host.root, place):
        if time.monotonic() > deadline:
            return holder
        time.sleep(_PAUSE)
    return None


class _Conversation:
    """The lines between the agent and one process."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        on_progress: Callable[[int | None, str], None],
        still_wanted: Callable[[], bool],
        question_interval: float,
    ) -> None:
        self._process = process
        self._on_progress = on_progress
        self._still_wanted = still_wanted
        self._question_interval = question_interval
        self._rest = b''

    def hold(
        self, request: verb_process.Request, deadline: float
    ) -> Outcome | None:
        """Return the outcome, None if the time limit has passed."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None  # noqa: S101
        with contextlib.suppress(BrokenPipeError):
            stdin.write(request.to_line().encode())
            stdin.flush()
        question = time.monotonic() + self._question_interval
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            while (now := time.monotonic()) < deadline:
                if now >= question:
                    if not self._still_wanted():
                        return Outcome(False, 'is not wanted any more')
                    question = now + self._question_interval
                # Short: a fork may keep the pipe open after the process.
                if selector.select(min(1.0, deadline - now)):
                    outcome = self._read(stdout.fileno())
                    if outcome is not None:
                        return outcome
                elif self._process.poll() is not None:
                    # It may have written its result in between.
                    if selector.select(0):
                        continue
                    return self._ended()
        return None

    def _read(self, descriptor: int) -> Outcome | None:
        chunk = os.read(descriptor, 65536)
        if not chunk:
            return self._ended()
        *lines, self._rest = (self._rest + chunk).split(b'\n')
        if len(self._rest) > _LONGEST_LINE:
            return Outcome(False, 'the handler does not end its line')
        for line in lines:
            answer = json.loads(line)
            if 'succeeded' not in answer:
                self._on_progress(answer['percent'], answer['text'])
                continue
            output = answer['output'].strip()
            if not answer['succeeded']:
                output = f'{output}\n{answer["text"]}'.strip()
            return Outcome(answer['succeeded'], output[-MOST_OUTPUT:])
        return None

    def _ended(self) -> Outcome:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_END)
        return Outcome(
            False,
            'the process of the handler ended without a result, status '
            f'{self._process.returncode}',
        )


def _end(process: subprocess.Popen[bytes]) -> bool:
    """End a process with all of its own; return whether it has ended.

    Without standard input it ends its programs and itself. SIGKILL comes
    after that, because it would leave the programs alone.
    """
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()
    for patience in (_GRACE, _END):
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
        else:
            return True
    return False
