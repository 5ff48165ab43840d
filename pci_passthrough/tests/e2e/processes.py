# SPDX-License-Identifier: Apache-2.0
"""Runs the cloud's processes: daemons, and programs that end."""

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

#: Seconds until a start or a wait has failed, with a generous margin for
#: slow and busy machines.
PATIENCE: Final = 240.0

#: Number of lines of a log in an error.
_TAIL: Final = 40

#: The folder of the console scripts of this virtual environment.
BIN: Final = pathlib.Path(sys.executable).parent


class CloudError(Exception):
    """A part of the cloud did not start, or failed."""


def tail(log: pathlib.Path, lines: int = _TAIL) -> str:
    """Return the last lines of a log, with a headline."""
    text = log.read_text(errors='replace') if log.exists() else ''
    end = '\n'.join(text.splitlines()[-lines:])
    return f'--- the end of {log.name}:\n{end}'


def environment(**further: str) -> dict[str, str]:
    """Return the environment variables of the cloud's processes.

    Without proxies, because all programs use the loopback address, and
    without the user's variables for another cloud.
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
    """Wait until a condition is true.

    :param blame: returns details for the error.
    :raises CloudError: the condition did not become true in time.
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
    """Run a program to its end, with its output in a log.

    :raises CloudError: the program failed, or did not end.
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
    """Return the first error of nested fixtures.

    Each fixture wraps the errors of inner fixtures, with details.
    """
    while isinstance(error, fixtures.MultipleExceptions):
        error = error.args[0][1]
    return error


def set_up_together(owner: fixtures.Fixture, *parts: fixtures.Fixture) -> None:
    """Set up several fixtures at the same time.

    The owner cleans up all of them, even if one fails.
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
    """A process that runs until the cleanup.

    :param name: its name in errors and logs.
    :param command: the program, in the folder of this Python, and its
        arguments.
    :param folder: the folder of its log.
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
        """The process id, None while it is down."""
        return None if self._process is None else self._process.pid

    @property
    def log(self) -> str:
        """The content of its log since the start of the cloud."""
        if not self.log_path.exists():
            return ''
        return self.log_path.read_text(errors='replace')

    def start(self) -> None:
        """Start it; append to its log."""
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
        """Wait until a condition is true that the process causes.

        :raises CloudError: the process ended, or the condition did not
            become true; the error shows the end of the log.
        """

        def check() -> object:
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
            check, f'{self.name}: {what}', blame=lambda: tail(self.log_path)
        )

    def wait_for_log(self, text: str, begin: int = 0) -> None:
        """Wait until its log contains a text.

        :param begin: the offset in the log from which to search.
        """
        self.wait_until(lambda: text in self.log[begin:], f'{text!r} logged')

    def kill(self) -> None:
        """Kill it and all of its children with SIGKILL at once."""
        process, self._process = self._process, None
        if process is None:
            return
        doomed = _family(process.pid)
        # A stopped parent cannot start further children meanwhile.
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
    # An orphan remains a zombie until the machine's first process reaps it.
    # A zombie uses neither port nor file, unless further threads of it are
    # still ending.
    try:
        return bool(
            process.status() == psutil.STATUS_ZOMBIE
            and process.num_threads() <= 1
        )
    except psutil.NoSuchProcess:
        return True
