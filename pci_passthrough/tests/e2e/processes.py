# SPDX-License-Identifier: Apache-2.0
"""The processes of the cloud: those that stay, and those that end."""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import concurrent.futures
import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import time
from typing import Final

import fixtures
import psutil

#: Seconds that anything has to come up, on a machine that is several times
#: slower and busier than it should be.
PATIENCE: Final = 240.0

#: Lines of a log that a failure shows.
_TAIL: Final = 40

#: Where the console scripts of this environment are.
BIN: Final = pathlib.Path(sys.executable).parent


class CloudError(Exception):
    """A part of the cloud did not come up, or does not go on."""


def tail(log: pathlib.Path, lines: int = _TAIL) -> str:
    """Return the end of a log, with a headline."""
    text = log.read_text(errors='replace') if log.exists() else ''
    end = '\n'.join(text.splitlines()[-lines:])
    return f'--- the end of {log.name}:\n{end}'


def environment(**further: str) -> dict[str, str]:
    """Return the variables for a process of the cloud.

    No proxy stands between programs that talk over the loopback address,
    and what a user has set for another cloud is not for this one.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith('OS_') and not name.lower().endswith('_proxy')
    }
    path = f'{BIN}:{kept.get("PATH", "")}:/usr/local/sbin:/usr/sbin:/sbin'
    return kept | {'PATH': path} | further


def wait_for(
    condition: Callable[[], object],
    what: str,
    *,
    seconds: float = PATIENCE,
    pause: float = 0.1,
    blame: Callable[[], str] | None = None,
) -> None:
    """Return as soon as a condition is true.

    :param blame: says more when it does not become true.
    :raises CloudError: it does not become true in time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            more = f'\n{blame()}' if blame else ''
            raise CloudError(f'not within {seconds:.0f} s: {what}{more}')
        time.sleep(pause)


def run(
    command: Sequence[str | pathlib.Path],
    log: pathlib.Path,
    **variables: str,
) -> None:
    """Run a program to its end; what it prints goes to a log.

    :raises CloudError: it failed, or did not end.
    """
    words = [str(word) for word in command]
    with open(log, 'ab') as output:
        try:
            status = subprocess.run(
                words,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment(**variables),
                timeout=PATIENCE,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            status = -signal.SIGKILL
    if status:
        line = ' '.join(words)
        raise CloudError(f'{line} ended with {status}\n{tail(log)}')


def first_cause(error: BaseException) -> BaseException:
    """Return what went wrong first in fixtures within fixtures.

    Each of them wraps what it gets, with its details, into a tuple.
    """
    while isinstance(error, fixtures.MultipleExceptions):
        error = error.args[0][1]
    return error


def set_up_together(owner: fixtures.Fixture, *parts: fixtures.Fixture) -> None:
    """Set up several fixtures at once, for the owner to clean up.

    When one fails the others are left to the owner all the same, so that
    nothing stays behind.
    """
    with concurrent.futures.ThreadPoolExecutor(len(parts)) as pool:
        futures = [pool.submit(part.setUp) for part in parts]
    failed = [future.exception() for future in futures]
    for part, error in zip(parts, failed, strict=True):
        if error is None:
            owner.addCleanup(part.cleanUp)
    for error in failed:
        if error is not None:
            raise first_cause(error)


class Daemon(fixtures.Fixture):
    """A process that stays until it is ended.

    :param name: what it is called here and in errors.
    :param command: the program, looked up beside this Python, and its
        arguments.
    :param folder: where its log goes.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | pathlib.Path],
        folder: pathlib.Path,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self.name = name
        self.log_path = folder / f'{name}.log'
        self._command = [str(word) for word in command]
        self._variables = dict(variables or {})
        self._process: subprocess.Popen[bytes] | None = None

    def _setUp(self) -> None:
        self.addCleanup(self.kill)
        self.start()

    @property
    def pid(self) -> int | None:
        """The process, or None while it is down."""
        return None if self._process is None else self._process.pid

    @property
    def log(self) -> str:
        """What it has said since the cloud began."""
        if not self.log_path.exists():
            return ''
        return self.log_path.read_text(errors='replace')

    def start(self) -> None:
        """Start it; its log goes on where it was."""
        if self._process is not None:
            return
        with open(self.log_path, 'ab') as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment(**self._variables),
                start_new_session=True,
            )

    def wait_until(self, condition: Callable[[], object], what: str) -> None:
        """Return as soon as a condition is true that it brings about.

        :raises CloudError: it ended, or the condition does not become true;
            the error shows the end of its log.
        """

        def look() -> object:
            if condition():
                return True
            status = self._process.poll() if self._process else 0
            if status is not None:
                raise CloudError(
                    f'{self.name} ended with {status}, before {what}\n'
                    + tail(self.log_path)
                )
            return False

        wait_for(
            look, f'{self.name}: {what}', blame=lambda: tail(self.log_path)
        )

    def wait_for_log(self, text: str, begin: int = 0) -> None:
        """Return when it has logged something.

        :param begin: where in the log to begin.
        """
        self.wait_until(lambda: text in self.log[begin:], f'{text!r} logged')

    def kill(self) -> None:
        """End it and all of its children with SIGKILL, at once."""
        process, self._process = self._process, None
        if process is None:
            return
        doomed = _family(process.pid)
        # A stopped parent starts no more children behind our back.
        for victim in doomed:
            with contextlib.suppress(psutil.NoSuchProcess):
                victim.suspend()
        for victim in {*doomed, *_family(process.pid)}:
            with contextlib.suppress(psutil.NoSuchProcess):
                victim.kill()
        process.wait()
        wait_for(
            lambda: all(map(_is_dead, doomed)),
            f'{self.name} gone after SIGKILL',
            pause=0.01,
        )

    def restart(self) -> None:
        """Kill it and start it again."""
        self.kill()
        self.start()


def _family(pid: int) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        first = psutil.Process(pid)
        return [first, *first.children(recursive=True)]
    return []


def _is_dead(process: psutil.Process) -> bool:
    # Whose parent is dead, too, stays a zombie until the machine's first
    # process finds time for it. A zombie holds neither port nor file.
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
