# SPDX-License-Identifier: Apache-2.0
"""Runs the programs, and returns their output."""

import contextlib
import dataclasses
import io
import json
import os
import pathlib
import subprocess
import sys
from typing import Any

import fixtures

from pci_passthrough.cmd import manage

#: Beside the Python that runs the tests.
PROGRAMS = pathlib.Path(sys.executable).parent


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """Exit status and output of a program."""

    status: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """The standard output, parsed as JSON."""
        return json.loads(self.out)


class Manage(fixtures.Fixture):
    """``pci-passthrough-manage`` within this process, on SQLite."""

    def _setUp(self) -> None:
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        # The ledger must not get the SUDO_USER of whoever runs the tests.
        self.useFixture(fixtures.EnvironmentVariable('SUDO_USER', 'operator'))
        self.useFixture(fixtures.EnvironmentVariable('CLIFF_MAX_TERM_WIDTH'))
        self.database = self.folder / 'pci.sqlite'
        self.url = f'sqlite:///{self.database}'
        self.config = self.folder / 'conductor.conf'
        self.configure(self.url)

    def configure(self, url: str, more: str = '') -> None:
        """Write the configuration: a database, and further sections."""
        self.config.write_text(f'[database]\nconnection = {url}\n{more}')

    def run(self, *words: str) -> Outcome:
        """Run one command with the configuration."""
        return self.run_bare(f'--config-file={self.config}', *words)

    def run_bare(self, *words: str) -> Outcome:
        """Run one command without the configuration."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                status = manage.main(list(words))
            except SystemExit as end:
                status = int(end.code or 0)
        return Outcome(status, out.getvalue(), err.getvalue())


def run_program(name: str, *words: str, **environment: str) -> Outcome:
    """Run a console script in its own process."""
    done = subprocess.run(
        [str(PROGRAMS / name), *words],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)
