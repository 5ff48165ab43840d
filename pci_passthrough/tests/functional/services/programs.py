# SPDX-License-Identifier: Apache-2.0
"""The real programs as processes, to be stopped and killed at will."""

from collections.abc import Callable
import contextlib
import pathlib
import signal
import subprocess
import sys
import time

import fixtures
import psutil
from testtools import content

#: Seconds after which anything that happens by itself must have happened,
#: on a machine that is busy with other tests and programs. Only a test that
#: fails waits so long.
PATIENCE = 120

_PROGRAMS = pathlib.Path(sys.executable).parent


def wait_for(
    condition: Callable[[], bool],
    what: str,
    pause: float = 0.02,
) -> None:
    """Return as soon as a condition is true.

    :param pause: seconds between two looks.
    :raises AssertionError: it does not become true in time.
    """
    begin = time.monotonic()
    while not condition():
        if time.monotonic() - begin > PATIENCE:
            raise AssertionError(f'not within {PATIENCE} seconds: {what}')
        time.sleep(pause)


class Program(fixtures.Fixture):
    """One program with its configuration and its log.

    :param command: a program of this project or a Python module, and its
        further arguments.
    :param config: its configuration file.
    """

    def __init__(self, command: list[str], config: pathlib.Path) -> None:
        super().__init__()
        if '.' in command[0]:
            self._command = [sys.executable, '-m', *command]
        else:
            self._command = [str(_PROGRAMS / command[0]), *command[1:]]
        self.config = config
        self.log_path = config.with_suffix('.log')
        self._process: subprocess.Popen[bytes] | None = None

    def _setUp(self) -> None:
        self.log_path.touch()
        self.addDetail(
            self.log_path.name,
            content.content_from_file(str(self.log_path), buffer_now=False),
        )
        self.addCleanup(self.kill)
        self.start()

    @property
    def log(self) -> str:
        """The log of the program since its start."""
        return self.log_path.read_text()

    def start(self) -> None:
        """Start it; its log goes on where it was."""
        with open(self.log_path, 'ab') as log:
            self._process = subprocess.Popen(
                [*self._command, f'--config-file={self.config}'],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_for_log(self, text: str, times: int = 1) -> None:
        """Return when it has logged something."""
        wait_for(
            lambda: self.log.count(text) >= times,
            f'{text!r} in {self.log_path}:\n{self.log[-3000:]}',
        )

    def kill(self) -> None:
        """End it and its workers with SIGKILL, at once."""
        process = self._process
        if process is None:
            return
        doomed = self._processes()
        # A stopped parent starts no more children behind our back.
        for victim in doomed:
            with contextlib.suppress(psutil.NoSuchProcess):
                victim.suspend()
        for victim in doomed:
            with contextlib.suppress(psutil.NoSuchProcess):
                victim.kill()
        process.wait()
        psutil.wait_procs(doomed, timeout=PATIENCE)
        self._process = None

    def terminate(self) -> None:
        """Ask it to end, and return when it has ended."""
        process = self._process
        assert process is not None
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)
        self._process = None

    def suspend(self) -> None:
        """Stop it and its workers with SIGSTOP: they hang."""
        for process in self._processes():
            process.suspend()

    def resume(self) -> None:
        """Let it and its workers go on."""
        for process in self._processes():
            process.resume()

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def pids(self) -> set[int]:
        """Return the process and its workers, which a restart replaces."""
        return {process.pid for process in self._processes()}

    def freeze(self, frozen: bool = True) -> None:
        """Stop all of its work, or let it go on."""
        for process in self._processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.suspend() if frozen else process.resume()

    def reload(self) -> None:
        """Have it read its configuration anew."""
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    def exit_status(self) -> int:
        """Return its exit status when it has ended."""
        assert self._process is not None
        return self._process.wait(PATIENCE)

    def _processes(self) -> list[psutil.Process]:
        assert self._process is not None
        with contextlib.suppress(psutil.NoSuchProcess):
            main = psutil.Process(self._process.pid)
            return [main, *main.children(recursive=True)]
        return []
