# SPDX-License-Identifier: Apache-2.0
"""The shell: global options, and the table of commands."""

import argparse
import logging
import sys
import threading
from typing import Any

from cliff import app
from cliff import command
from cliff import commandmanager

import pci_passthrough
from pci_passthrough.cmd import errors
from pci_passthrough.cmd.manage import claim
from pci_passthrough.cmd.manage import context
from pci_passthrough.cmd.manage import db
from pci_passthrough.cmd.manage import device
from pci_passthrough.cmd.manage import flavor
from pci_passthrough.cmd.manage import host
from pci_passthrough.cmd.manage import nova_conf
from pci_passthrough.cmd.manage import pool
from pci_passthrough.cmd.manage import refusal

_COMMANDS: dict[str, type[command.Command]] = {
    'db sync': db.Sync,
    'db version': db.Version,
    'db purge': db.Purge,
    'flavor create': flavor.Create,
    'flavor list': flavor.List,
    'flavor show': flavor.Show,
    'flavor set': flavor.Set,
    'flavor delete': flavor.Delete,
    'pool list': pool.List,
    'device list': device.List,
    'device show': device.Show,
    'device set': device.Set,
    'device history': device.History,
    'host list': host.List,
    'refusal list': refusal.List,
    'claim': claim.Claim,
    'free': claim.Free,
    'import-nova': nova_conf.Import,
    'export-nova': nova_conf.Export,
}


class ManageApp(app.App):
    """The program; commands reach its context by ``context.of``."""

    NAME = context.PROG
    # ``clean_up`` tells of errors; cliff only with --debug, with tracebacks.
    LOG = logging.getLogger(f'{__name__}.cliff')
    # Warnings; with -v and -vv more.
    DEFAULT_VERBOSE_LEVEL = 0

    def __init__(self) -> None:
        manager = commandmanager.CommandManager('pci_passthrough.manage')
        for name, one in _COMMANDS.items():
            manager.add_command(name, one)
        super().__init__(
            description='Administration of pci_passthrough. It works on the '
            "database itself, so it needs the conductor's configuration, "
            'and no conductor.',
            version=pci_passthrough.version(),
            command_manager=manager,
            deferred_help=True,
        )
        self.LOG.addHandler(logging.NullHandler())
        self._console: logging.Handler | None = None

    def build_option_parser(
        self,
        description: str | None,
        version: str | None,
        argparse_kwargs: dict[str, Any] | None = None,
    ) -> argparse.ArgumentParser:
        """Add where the configuration is."""
        parser = super().build_option_parser(
            description,
            version,
            {'prog': self.NAME, **(argparse_kwargs or {})},
        )
        for option, what in (
            ('--config-file', 'file to read; may be repeated'),
            ('--config-dir', 'directory of *.conf files; may be repeated'),
        ):
            parser.add_argument(
                option,
                action='append',
                default=[],
                metavar='PATH',
                help=f'{what}, later values win (default: the usual places, '
                'for example /etc/pci_passthrough)',
            )
        return parser

    def configure_logging(self) -> None:
        """Log to standard error, or to ``--log-file``, while this runs."""
        options = self.options
        if options.log_file:
            try:
                self._console = logging.FileHandler(options.log_file)
            except OSError as error:
                self.parser.error(f'--log-file: {error}')
            form = self.LOG_FILE_MESSAGE_FORMAT
        else:
            self._console = logging.StreamHandler(self.stderr)
            form = f'{self.NAME}: {self.CONSOLE_MESSAGE_FORMAT}'
        self._console.setFormatter(logging.Formatter(form))
        levels = (logging.WARNING, logging.INFO, logging.DEBUG)
        self._console.setLevel(
            levels[2 if options.debug else min(options.verbose_level, 2)]
        )
        thread = threading.get_ident()
        self._console.addFilter(
            # Other threads are those of a program that runs this one within
            # itself. oslo.db logs tracebacks of errors which it raises.
            lambda record: (
                record.thread == thread
                and (options.debug or record.exc_info is None)
            )
        )
        self.LOG.propagate = options.debug
        root = logging.getLogger()
        if not root.handlers:
            root.setLevel(self._console.level)
        root.addHandler(self._console)

    def initialize_app(self, argv: list[str]) -> None:
        """Note where the configuration is; refuse to be interactive."""
        if not argv and not self.options.deferred_help:
            self.parser.error('a command is needed; --help lists them')
        arguments = []
        for name in ('config_file', 'config_dir'):
            for path in getattr(self.options, name):
                arguments += [f'--{name.replace("_", "-")}', path]
        self.context = context.Context(arguments)

    def run_subcommand(self, argv: list[str]) -> int:
        """Run a command; an unknown one is an error like others."""
        try:
            self.command_manager.find_command(argv)
        except ValueError:
            near = ', '.join(self.get_fuzzy_matches(argv[0])[:6])
            self.parser.error(
                f'there is no command {" ".join(argv)!r}'
                + (f'; did you mean one of: {near}?' if near else '')
            )
        return super().run_subcommand(argv)

    def clean_up(
        self, cmd: command.Command, result: int, err: BaseException | None
    ) -> None:
        """Tell of an error, and close the database."""
        if isinstance(err, Exception) and not isinstance(err, BrokenPipeError):
            errors.report(self.NAME, err, vars(self.context).get('conf'))
        self.context.close()

    def end(self) -> None:
        """Leave the logging of this process as it was."""
        if self._console is not None:
            logging.getLogger().removeHandler(self._console)
            self._console.close()


def main(argv: list[str] | None = None) -> int:
    """Run one command.

    :returns: 0, or 1 after an error, which is on standard error.
    :raises SystemExit: 2 if the command line cannot be understood.
    """
    program = ManageApp()
    try:
        return int(program.run(sys.argv[1:] if argv is None else argv))
    finally:
        program.end()
