# SPDX-License-Identifier: Apache-2.0

"""A fixture: a process in a network namespace of its own, with a sysfs."""

from __future__ import annotations

import os
import pathlib
import subprocess
import unittest

import fixtures

# Not every user's PATH contains the directories of system programs.
_PATH = f'{os.environ.get("PATH", "")}:/usr/local/sbin:/usr/sbin:/sbin'
_ENVIRONMENT = {**os.environ, 'PATH': _PATH}


class NetworkNamespace(fixtures.Fixture):
    """A host whose network is empty; its other devices are this machine's.

    Needs root. If the machine refuses, the test is skipped with the reason.

    :ivar pid: the process that holds the namespace.
    :ivar host_root: the host's root directory.
    """

    pid: int
    host_root: pathlib.Path

    def setUp(self) -> None:
        """Create the namespaces.

        :raises unittest.SkipTest: the machine's kernel refused.
        """
        # Not _setUp: fixtures would turn a skip into an error.
        super().setUp()
        holder = subprocess.Popen(
            [
                'unshare', '--net', '--mount', '--propagation', 'private',
                'sh', '-c',
                'mount -t sysfs sysfs /sys && ip link set lo up && echo $$'
                ' && exec cat',
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=_ENVIRONMENT,
        )  # fmt: skip
        assert holder.stdin and holder.stdout and holder.stderr
        self.addCleanup(holder.wait)
        self.addCleanup(holder.stderr.close)
        self.addCleanup(holder.stdout.close)
        # cat ends with its standard input.
        self.addCleanup(holder.stdin.close)
        line = holder.stdout.readline()
        if not line:
            reason = holder.stderr.read().strip()
            self.cleanUp()
            raise unittest.SkipTest(f'no network namespace here: {reason}')
        self.pid = int(line)
        self.host_root = pathlib.Path(f'/proc/{self.pid}/root')

    def command(self, *command: str) -> list[str]:
        """Return a command that runs another one in the namespaces."""
        return ['nsenter', f'--target={self.pid}', '--net', '--mount',
                *command]  # fmt: skip

    def run(self, *command: str) -> None:
        """Run a program in the namespaces.

        :raises AssertionError: it failed; with its standard error.
        """
        self.output(*command)

    def output(self, *command: str) -> str:
        """Return the standard output of a program in the namespaces.

        :raises AssertionError: it failed; with its standard error.
        """
        done = subprocess.run(
            self.command(*command),
            capture_output=True,
            text=True,
            env=_ENVIRONMENT,
        )
        if done.returncode:
            raise AssertionError(f'{command}: {done.stderr.strip()}')
        return done.stdout

    def start(self, script: str) -> None:
        """Run a shell script in the namespaces until the test ends."""
        process = subprocess.Popen(
            self.command('sh', '-c', script),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=_ENVIRONMENT,
        )
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
