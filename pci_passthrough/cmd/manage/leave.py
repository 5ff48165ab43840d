# SPDX-License-Identifier: Apache-2.0
"""``leave``, ``return`` and ``guard``: Nova's records, and the Nova plugin.

They need Nova in the Python environment of the program, and nova.conf with
the databases of Nova. The modules that import Nova are imported when its
configuration was read.
"""

import abc
import argparse
from collections.abc import Callable
from collections.abc import Iterator
import functools
import importlib.util
import itertools
import sys
from typing import Any
from typing import ClassVar
from typing import TYPE_CHECKING

from cliff import lister
from oslo_db import exception as db_exception

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.cmd import conf_files
from pci_passthrough.cmd import errors
from pci_passthrough.cmd.manage import arguments
from pci_passthrough.cmd.manage import context
from pci_passthrough.cmd.manage import equivalent_aliases
from pci_passthrough.nova_plugin.install import deployment
from pci_passthrough.objects import fields
from pci_passthrough.osc.v1 import base
from pci_passthrough.osc.v1 import columns
from pci_passthrough.store import hosts
from pci_passthrough.store.claims import adoption
from pci_passthrough.store.devices import lookup as device_lookup
from pci_passthrough.store.pci_flavors import lookup
from pci_passthrough.store.pci_flavors import resolving

if TYPE_CHECKING:
    from pci_passthrough.nova_plugin.leaving import conversions

_COLUMNS: dict[str, Callable[['_Row'], Any]] = {
    'What': lambda row: row[0],
    'Name': lambda row: row[1],
    'Result': lambda row: row[2],
    'Remedy': lambda row: columns.OrDash(row[3]),
}

#: What Nova's database raises for one record.
_FAILURES = (db_exception.DBError,)

#: The record, its name, the result, and what to do about a problem.
_Row = tuple[str, str, str, str | None]


class _Rewriting(lister.Lister):
    """A command that rewrites Nova flavors, instances and request specs.

    :cvar WAITS_FOR_NEW: whether servers that are being created are in the way.
    """

    WAITS_FOR_NEW: ClassVar[bool] = False

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add Nova's configuration files, and ``--apply``."""
        parser = super().get_parser(prog_name)
        arguments.add_nova_conf(
            parser,
            'configuration file of nova-api, with the databases of Nova and '
            '[pci] alias; may be repeated (default: where Nova looks for it)',
        )
        parser.add_argument(
            '--apply',
            action='store_true',
            help='rewrite what can be rewritten; without this option the '
            'command only checks',
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> base.Output:
        """Rewrite or check, and return columns and rows."""
        _read_nova(parsed_args)
        self.problems = self.rewritable = 0
        rows = [
            *self._rewrite(self._conversion(parsed_args), parsed_args.apply),
            *self._others(parsed_args),
        ]
        return columns.table(_COLUMNS, rows)

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Print the table, then a summary on standard error.

        :returns: 0 only if nothing is left to do.
        """
        super().run(parsed_args)
        done = 'rewritten' if parsed_args.apply else 'to be rewritten'
        print(
            f'{context.PROG}: {self.rewritable} {done}, {self.problems} in '
            'the way',
            file=sys.stderr,
        )
        is_left = self.problems or (self.rewritable and not parsed_args.apply)
        return errors.STATUS_OF_FINDINGS if is_left else 0

    def _rewrite(
        self, conversion: 'conversions.Conversion', save: bool
    ) -> Iterator[_Row]:
        from pci_passthrough.nova_plugin.leaving import rewriting

        for outcome in itertools.chain(
            rewriting.rewrite_flavors(conversion, save, _FAILURES),
            rewriting.in_creation() if self.WAITS_FOR_NEW else (),
            rewriting.rewrite_instances(conversion, save, _FAILURES),
        ):
            if outcome.problem is None:
                self.rewritable += 1
                done = 'rewritten' if save else 'to be rewritten'
                yield outcome.what, outcome.name, done, None
            else:
                yield self._problem(
                    outcome.what,
                    outcome.name,
                    outcome.problem,
                    outcome.remedy or '',
                )

    def _problem(self, what: str, name: str, problem: str, do: str) -> _Row:
        self.problems += 1
        return what, name, problem, do

    @abc.abstractmethod
    def _conversion(
        self, parsed_args: argparse.Namespace
    ) -> 'conversions.Conversion':
        """Return what the command makes of Nova's records."""

    def _others(self, parsed_args: argparse.Namespace) -> Iterator[_Row]:
        """Yield the rows about other things than Nova's records."""
        return iter(())


class Leave(_Rewriting):
    """Turn Nova flavors and instances native, before the plugin goes.

    Each row is something that Nova could not serve without the Nova plugin,
    or would give to somebody although it must not. The exit status is 0 when
    nothing is left, else 3.
    """

    WAITS_FOR_NEW = True

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the devices that Nova will not offer."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--left-out',
            action='append',
            default=[],
            metavar='HOST/ADDRESS',
            help='a device that must not be given out, and that [pci] '
            'device_spec of its host does not match; may be repeated',
        )
        return parser

    def _conversion(
        self, parsed_args: argparse.Namespace
    ) -> 'conversions.Conversion':
        from pci_passthrough.nova_plugin import request_specs
        from pci_passthrough.nova_plugin.leaving import conversions

        return conversions.ToNative(
            equivalent_aliases.Aliases(
                lookup.get_all(context.of(self).database)
            ).native,
            request_specs.nics_of,
        )

    def _others(self, parsed_args: argparse.Namespace) -> Iterator[_Row]:
        app = context.of(self)
        devices = device_lookup.get_all(app.database)
        for device in devices:
            name = f'{device.host}/{device.address}'
            if name in parsed_args.left_out:
                continue
            if state := _must_stay_out(device):
                yield self._problem(
                    'device',
                    name,
                    f'is {state}, and Nova would give it out',
                    'make it available again; or let no [pci] device_spec '
                    f'match it, and repeat the command with --left-out {name}',
                )
            elif device.status == fields.DeviceStatus.CLEANING:
                yield self._problem(
                    'device',
                    name,
                    'is cleaning, and Nova would give it out',
                    'wait, it ends by itself; then repeat the command',
                )
        holding = {device.host for device in devices if device.instance_uuid}
        for host in hosts.get_all(app.database, app.policy.limits):
            if host.host in holding and not host.tracker_is_up:
                yield self._problem(
                    'host',
                    host.host,
                    'holds devices, and its nova-compute is down: it cannot '
                    'hand them back',
                    'start nova-compute; or evacuate its instances',
                )


class Return(_Rewriting):
    """Restore the PCI flavors that leave has replaced.

    Nova flavors, instances and request specs get their former requests, and
    devices that instances hold by no PCI flavor get the one that was asked
    for. The exit status is 0 when nothing is left, else 3.
    """

    def _conversion(
        self, parsed_args: argparse.Namespace
    ) -> 'conversions.Conversion':
        from pci_passthrough.nova_plugin.leaving import conversions

        database = context.of(self).database
        known = equivalent_aliases.by_name_and_uuid(lookup.get_all(database))
        return conversions.ToOurs(
            lambda name: str(equivalent_aliases.existing(known, name).name),
            functools.partial(resolving.resolve, database, take_disabled=True),
        )

    def _others(self, parsed_args: argparse.Namespace) -> Iterator[_Row]:
        """Give held devices the PCI flavors that were asked for."""
        from pci_passthrough.nova_plugin.compat import records
        from pci_passthrough.nova_plugin.leaving import rewriting

        app = context.of(self)
        unnamed = [
            device
            for device in device_lookup.get_all(app.database)
            if device.status == fields.DeviceStatus.ALLOCATED
            and device.pci_flavor_uuid is None
        ]
        if not unnamed:
            return
        asked = rewriting.pci_flavors_of(records.instances())
        for device in unnamed:
            instance, claim = str(device.instance_uuid), str(device.request_id)
            pci_flavor = asked.get((instance, claim.partition('/')[0]))
            if pci_flavor is None:
                continue
            name = f'{device.host}/{device.address}'
            try:
                # Reading the instances may have taken minutes.
                if parsed_args.apply and not adoption.set_pci_flavor(
                    app.writer, device, pci_flavor, app.actor
                ):
                    continue
            except exception.PciPassthroughError as error:
                yield self._problem(
                    'device', name, error.text, 'repeat the command'
                )
                continue
            self.rewritable += 1
            done = 'rewritten' if parsed_args.apply else 'to be rewritten'
            yield 'device', name, done, None


class Guard(_Rewriting):
    """Let a Nova without the plugin refuse what asks for PCI flavors.

    Without the Nova plugin, Nova would start the instances without their
    devices. The command adds needs-pci-passthrough:1 to
    pci_passthrough:alias of the Nova flavors and of the instances' copies. No
    nova.conf has this alias, and the Nova plugin leaves it out.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add ``--remove``."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--remove', action='store_true', help='remove the guard'
        )
        return parser

    def _conversion(
        self, parsed_args: argparse.Namespace
    ) -> 'conversions.Conversion':
        from pci_passthrough.nova_plugin.leaving import conversions

        return conversions.Guard(not parsed_args.remove)


def _must_stay_out(device: objects.PciDevice) -> str | None:
    """Return why nobody gets a device until an operator acts, or None."""
    if device.status == fields.DeviceStatus.QUARANTINED:
        return str(device.status)
    if device.disabled_reason is not None:
        return f'disabled ({device.disabled_reason})'
    return None


def _read_nova(parsed_args: argparse.Namespace) -> None:
    """Read Nova's configuration into its modules.

    :raises Invalid: Nova is not installed here, or there is no nova.conf.
    """
    if importlib.util.find_spec('nova') is None:
        raise exception.Invalid(
            'Nova is not installed in the Python environment of this '
            'program: run it where nova-api or nova-conductor is installed'
        )
    files = conf_files.find(parsed_args.nova_conf, parsed_args.nova_conf_dir)
    files = files or deployment.find_nova_conf()
    if not files:
        raise exception.Invalid(
            'there is no nova.conf where Nova looks for it: give --nova-conf'
        )
    if not deployment.names_databases(files):
        raise exception.Invalid(
            f'{" ".join(files)} does not have [api_database] and [database] '
            'connection: use the files of nova-api'
        )
    from pci_passthrough.nova_plugin.compat import configuration

    configuration.read(files)
