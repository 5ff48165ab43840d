# SPDX-License-Identifier: Apache-2.0
"""The command-line program: global options, and the table of commands."""

import argparse
import functools
from importlib import metadata
import logging
import sys
import threading
from typing import Any
from typing import TYPE_CHECKING

from cliff import app
from cliff import command
from cliff import commandmanager

import pci_passthrough
from pci_passthrough.cmd import database_errors
from pci_passthrough.cmd.manage import context

if TYPE_CHECKING:
    from pci_passthrough.cmd.manage import in_process

#: Module and class of each command, below ``pci_passthrough``. A module is
#: imported when its command is called: not all need the REST API.
_COMMANDS = {
    'db sync': 'cmd.manage.db:Sync',
    'db version': 'cmd.manage.db:Version',
    'db purge': 'cmd.manage.db:Purge',
    'flavor create': 'cmd.manage.flavor:Create',
    'flavor list': 'cmd.manage.flavor:List',
    'flavor show': 'cmd.manage.flavor:Show',
    'flavor set': 'cmd.manage.flavor:Set',
    'flavor unset': 'osc.v1.pci_flavor:Unset',
    'flavor delete': 'cmd.manage.flavor:Delete',
    'flavor access add': 'osc.v1.pci_flavor_access:Add',
    'flavor access list': 'osc.v1.pci_flavor_access:List',
    'flavor access remove': 'osc.v1.pci_flavor_access:Remove',
    'flavor capacity': 'osc.v1.pci_flavor_supply:Capacity',
    'flavor explain': 'osc.v1.pci_flavor_supply:Explain',
    'pool list': 'cmd.manage.pool:List',
    'device list': 'cmd.manage.device:List',
    'device show': 'cmd.manage.device:Show',
    'device set': 'cmd.manage.device:Set',
    'device resolve': 'cmd.manage.device:Resolve',
    'device history': 'cmd.manage.device:History',
    'host list': 'cmd.manage.host:List',
    'host rename': 'cmd.manage.host:Rename',
    'host forget': 'cmd.manage.host:Forget',
    'refusal list': 'osc.v1.pci_refusal:List',
    'audit': 'cmd.manage.audit:Audit',
    'claim': 'cmd.manage.claim:Claim',
    'free': 'cmd.manage.claim:Free',
    'import-nova': 'cmd.manage.nova_conf:Import',
    'export-nova': 'cmd.manage.nova_conf:Export',
    'leave': 'cmd.manage.leave:Leave',
    'guard': 'cmd.manage.leave:Guard',
    'return': 'cmd.manage.leave:Return',
}

_NAMESPACE = 'pci_passthrough.manage'


class ManageApp(app.App):
    """The program; commands get its context from ``context.of``."""

    NAME = context.PROG
    # ``clean_up`` prints errors. cliff prints them only with --debug, with
    # tracebacks.
    LOG = logging.getLogger(f'{__name__}.cliff')
    # Logs warnings; -v and -vv log more.
    DEFAULT_VERBOSE_LEVEL = 0

    def __init__(self) -> None:
        manager = commandmanager.CommandManager(_NAMESPACE)
        for name, target in _COMMANDS.items():
            manager.commands[name] = metadata.EntryPoint(
                name, f'pci_passthrough.{target}', _NAMESPACE
            )
        super().__init__(
            description='Administration of pci_passthrough. It reads and '
            "writes the database itself: it needs the conductor's "
            'configuration, but no running service.',
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
        """Add the options for the configuration."""
        parser = super().build_option_parser(
            description,
            version,
            {'prog': self.NAME, **(argparse_kwargs or {})},
        )
        for option, text in (
            ('--config-file', 'file to read; may be repeated'),
            ('--config-dir', 'directory of *.conf files; may be repeated'),
        ):
            parser.add_argument(
                option,
                action='append',
                default=[],
                metavar='PATH',
                help=f'{text}, later values win (default: for example '
                '/etc/pci_passthrough)',
            )
        return parser

    def configure_logging(self) -> None:
        """Log to standard error, or to ``--log-file``, until ``end``."""
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
            # Other threads belong to a program that runs this one in its
            # process. oslo.db logs tracebacks of errors which it also raises.
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
        """Create the context; there is no interactive mode."""
        if not argv and not self.options.deferred_help:
            self.parser.error('a command is needed; --help lists them')
        arguments = []
        for name in ('config_file', 'config_dir'):
            for path in getattr(self.options, name):
                arguments += [f'--{name.replace("_", "-")}', path]
        self.context = context.Context(arguments)

    @functools.cached_property
    def client_manager(self) -> 'in_process.ClientManager':
        """The REST API for the commands of ``openstack pci``."""
        from pci_passthrough.cmd.manage import in_process

        return in_process.ClientManager(self.context)

    def run_subcommand(self, argv: list[str]) -> int:
        """Run a command; an unknown command is a usage error."""
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
        """Print the error, if there is one, and close the database."""
        if isinstance(err, Exception) and not isinstance(err, BrokenPipeError):
            if 'client_manager' in vars(self):
                from pci_passthrough.cmd.manage import in_process

                err = in_process.plain(err)
            database_errors.report(
                self.NAME, err, vars(self.context).get('conf')
            )
        self.context.close()

    def end(self) -> None:
        """Restore the logging of this process."""
        if self._console is not None:
            logging.getLogger().removeHandler(self._console)
            self._console.close()


def main(argv: list[str] | None = None) -> int:
    """Run one command.

    :returns: 0, or 1 after an error, which is on standard error; 3 if the
        command reports a probable mistake, see ``errors``.
    :raises SystemExit: 2 if the command line cannot be understood.
    """
    program = ManageApp()
    try:
        return int(program.run(sys.argv[1:] if argv is None else argv))
    finally:
        program.end()
