# SPDX-License-Identifier: Apache-2.0
"""Runs a program with a time limit, and keeps the end of its output."""

from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
import dataclasses
import os
import selectors
import signal
import subprocess
import time

from pci_passthrough.handlers import device_lock

#: Bytes that are kept of the output of a program; what comes last tells most.
MOST_OUTPUT = 16384

_CHUNK = 65536

#: Process groups of the programs that run now.
_groups: set[int] = set()


@dataclasses.dataclass(frozen=True, slots=True)
class Result:
    """The end of a program.

    :ivar status: exit status, the negative number of the signal that ended
        it, or None if it was killed after its time limit.
    :ivar output: the end of standard output and standard error.
    :ivar is_cut: whether the beginning of the output was dropped.
    """

    status: int | None
    output: bytes
    is_cut: bool = False

    @property
    def text(self) -> str:
        """The output as text."""
        text = self.output.decode(errors='replace')
        return f'[…]{text}' if self.is_cut else text


def run(
    arguments: Sequence[str],
    timeout: float,
    *,
    stdin: bytes = b'',
    environment: Mapping[str, str] | None = None,
) -> Result:
    """Run a program, without a shell.

    After the time limit the program and all processes of its group get
    SIGKILL. A process that outlives even that is left behind, its output is
    not awaited, and it keeps its device locked.

    :param arguments: the program and its arguments.
    :param timeout: seconds.
    :param environment: None for that of this process.
    :raises OSError: the program cannot be started.
    """
    process = subprocess.Popen(  # noqa: S603 - an argument list, no shell
        list(arguments),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=None if environment is None else dict(environment),
        process_group=0,
        pass_fds=device_lock.descriptors(),
    )
    _groups.add(process.pid)
    deadline = time.monotonic() + timeout
    try:
        output, is_cut = _exchange(process, stdin, deadline)
        status = process.wait(max(0.0, deadline - time.monotonic()))
    except (TimeoutError, subprocess.TimeoutExpired) as error:
        output, is_cut = getattr(error, 'partial', (b'', False))
        return Result(None, output, is_cut)
    finally:
        # Also what the program has left running in the background.
        _kill(process.pid)
        _groups.discard(process.pid)
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(1)
    return Result(status, output, is_cut)


def kill_all() -> None:
    """Kill the programs that run now, with all processes of their groups."""
    for group in tuple(_groups):
        _kill(group)


def _kill(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


class _LateError(TimeoutError):
    """The time limit has passed; ``partial`` is the output until then."""

    def __init__(self, partial: tuple[bytes, bool]) -> None:
        super().__init__()
        self.partial = partial


def _exchange(
    process: subprocess.Popen[bytes],
    stdin: bytes,
    deadline: float,
) -> tuple[bytes, bool]:
    """Write the input and read the output until the program closes it."""
    assert process.stdin is not None and process.stdout is not None  # noqa: S101
    output = b''
    is_cut = False
    todo = memoryview(stdin)
    os.set_blocking(process.stdin.fileno(), False)
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        if todo:
            selector.register(process.stdin, selectors.EVENT_WRITE)
        else:
            process.stdin.close()
        while True:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise _LateError((output, is_cut))
            for key, _ in selector.select(remaining):
                if key.fileobj is process.stdout:
                    chunk = os.read(process.stdout.fileno(), _CHUNK)
                    if not chunk:
                        return output, is_cut
                    output += chunk
                    is_cut = is_cut or len(output) > MOST_OUTPUT
                    output = output[-MOST_OUTPUT:]
                    continue
                try:
                    todo = todo[os.write(process.stdin.fileno(), todo) :]
                except BrokenPipeError:
                    # It does not want to read its input.
                    todo = todo[:0]
                if not todo:
                    selector.unregister(process.stdin)
                    process.stdin.close()
