# SPDX-License-Identifier: Apache-2.0
"""The base class of servers: port, data directory, start and end."""

import abc
import collections
import contextlib
import os
import pathlib
import random
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from typing import Any
from typing import Final

import fixtures
import psutil

LOOPBACK: Final = '127.0.0.1'

#: Seconds until a start has failed. RabbitMQ needs about 5 on a quiet
#: machine, and several times as many on a busy one.
START_TIMEOUT: Final = 120.0

#: Seconds that a server has to end after a signal.
STOP_TIMEOUT: Final = 30.0

# Below the range for outgoing connections (from 32768), one of which could
# otherwise use the port while the server is down.
_PORTS: Final = range(20000, 32000)

# Read at import: a test may change tempfile's default to a directory that is
# removed with the test and that other users cannot enter.
_TMP: Final = tempfile.gettempdir()

# mariadb-install-db's output has more than twenty lines of help.
_LOG_TAIL: Final = 80


class ServerError(Exception):
    """A server, or a program that initializes a server, failed."""


class Port(fixtures.Fixture):
    """A TCP port of the loopback address, reserved among our processes.

    The reservation is a UDP socket with the same number. Unlike a TCP port,
    it remains reserved while the server is down; unlike a lock file, it ends
    with the process. No server here uses UDP.
    """

    number: int

    def _setUp(self) -> None:
        for number in random.sample(_PORTS, 200):
            udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            try:
                udp.bind((LOOPBACK, number))
                with socket.socket() as tcp:
                    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    tcp.bind((LOOPBACK, number))
            except OSError:
                udp.close()
                continue
            self.addCleanup(udp.close)
            self.number = number
            return
        raise ServerError(f'no free port on {LOOPBACK}')


class Server(fixtures.Fixture, metaclass=abc.ABCMeta):
    """One server process with its port and its data directory.

    After the setup the server answers. The cleanup kills the server and its
    child processes, and removes the directory.
    """

    #: The server's administrator, whose password is random.
    administrator: str = 'pci'

    #: The signal that makes the server end soon and cleanly.
    stop_signal: signal.Signals = signal.SIGTERM

    def _setUp(self) -> None:
        self.password = secrets.token_hex(16)
        self.port = self._choose_port()
        self.directory = pathlib.Path(
            tempfile.mkdtemp(prefix='pci-passthrough-', dir=_TMP)
        )
        self.addCleanup(shutil.rmtree, self.directory)
        self.log = self.directory / 'log'
        self.log.touch()
        self._process: subprocess.Popen[bytes] | None = None
        self._helpers: list[subprocess.Popen[bytes]] = []
        self.addCleanup(self._kill_helpers)
        self.addCleanup(self.kill)
        if self._user is not None:
            for path in (self.directory, self.log):
                shutil.chown(path, self._user, self._user)
        self._initialise()
        self.start()

    def _choose_port(self) -> int:
        """Return the port to listen on."""
        return self.useFixture(Port()).number

    @property
    @abc.abstractmethod
    def url(self) -> str:
        """The URL of the server for clients, with user and password."""

    @property
    def pid(self) -> int | None:
        """The process id of the server, None while it is down."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the server with its port and data, and wait until it answers.

        :raises ServerError: the server ended, or did not answer within
            START_TIMEOUT seconds; in both cases it is stopped.
        """
        if self._process is not None:
            return
        command = self._command()
        self._process = self._spawn(command)
        try:
            self._wait(command[0])
        except ServerError:
            self.kill()
            raise

    def stop(self) -> None:
        """Stop the server cleanly; kill it after STOP_TIMEOUT seconds."""
        if self._process is None:
            return
        self._process.send_signal(self.stop_signal)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_TIMEOUT)
        self.kill()

    def kill(self) -> None:
        """Kill every process of the server with SIGKILL at once.

        When the method returns, the processes have ended and the port is
        free.
        """
        if self._process is None:
            return
        _kill_all(self._process)
        self._process = None

    def restart(self) -> None:
        """Stop the server cleanly and start it again."""
        self.stop()
        self.start()

    def processes(self) -> list[psutil.Process]:
        """Return all running processes that this fixture has started."""
        running: list[psutil.Process] = []
        mains = [self._process] if self._process is not None else []
        for main in mains + self._helpers:
            with contextlib.suppress(psutil.NoSuchProcess):
                process = psutil.Process(main.pid)
                running += [process, *process.children(recursive=True)]
        return running

    @property
    def _data(self) -> pathlib.Path:
        return self.directory / 'data'

    @property
    def _user(self) -> str | None:
        """The user to run the server, None for the current user."""
        return None

    @abc.abstractmethod
    def _initialise(self) -> None:
        """Initialize the empty data directory; called once."""

    @abc.abstractmethod
    def _command(self) -> list[str]:
        """Return the command that runs the server in the foreground."""

    @abc.abstractmethod
    def _answers(self) -> bool:
        """Return whether the server would serve a client now."""

    def _environment(self) -> dict[str, str]:
        return dict(os.environ)

    def _identity(self) -> dict[str, Any]:
        """Return the arguments with which subprocess changes to the user."""
        if self._user is None:
            return {}
        return {'user': self._user, 'group': self._user, 'extra_groups': []}

    def _spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        with open(self.log, 'ab') as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # The user may have no access to the current directory.
                cwd=self.directory,
                env=self._environment(),
                # A separate process group gets no Ctrl-C of the terminal.
                start_new_session=True,
                **self._identity(),
            )

    def _run(self, command: list[str]) -> None:
        """Run a program that prepares the server; wait for its end."""
        process = self._spawn(command)
        try:
            process.wait(START_TIMEOUT)
        except subprocess.TimeoutExpired:
            _kill_all(process)
        if process.returncode != 0:
            raise ServerError(self._failure(command[0], process.returncode))

    def _wait(self, program: str) -> None:
        assert self._process is not None
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            # Checked first: another program could answer on the port.
            status = self._process.poll()
            if status is not None:
                raise ServerError(self._failure(program, status))
            if self._answers():
                return
            if time.monotonic() > deadline:
                raise ServerError(
                    f'{program} does not answer after {START_TIMEOUT:.0f} s.\n'
                    + self._log_tail()
                )
            time.sleep(0.05)

    def _failure(self, program: str, status: int) -> str:
        return (
            f'{program} ended with exit status {status}.\n' + self._log_tail()
        )

    def _log_tail(self) -> str:
        with open(self.log, errors='replace') as log:
            tail = collections.deque(log, _LOG_TAIL)
        return 'The end of its log:\n' + ''.join(tail)

    def _kill_helpers(self) -> None:
        for helper in self._helpers:
            _kill_all(helper)
        self._helpers.clear()


def _kill_all(main: subprocess.Popen[bytes]) -> None:
    """Kill a process and its descendants, and wait until they have ended.

    Killing the process group does not suffice: children of PostgreSQL and
    Erlang have other groups.
    """
    doomed: list[psutil.Process] = []
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(main.pid)
        # A stopped parent cannot start further children meanwhile.
        process.suspend()
        doomed = [process, *process.children(recursive=True)]
    with contextlib.suppress(ProcessLookupError):
        os.killpg(main.pid, signal.SIGKILL)
    for process in doomed:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    main.wait()
    deadline = time.monotonic() + STOP_TIMEOUT
    while alive := [process for process in doomed if _lives(process)]:
        if time.monotonic() > deadline:
            raise ServerError(f'not even SIGKILL ended {alive}')
        time.sleep(0.01)


def _lives(process: psutil.Process) -> bool:
    # A zombie uses neither port nor file, so there is no need to wait until
    # the machine's first process reaps it.
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def program(name: str, *directories: str) -> str:
    """Return the path of a program in the directories or in the PATH."""
    path = os.pathsep.join([*directories, os.environ.get('PATH', os.defpath)])
    executable = shutil.which(name, path=path)
    if executable is None:
        raise ServerError(
            f'{name} is not installed; bindep.txt names the packages that the'
            ' functional tests need'
        )
    return executable
