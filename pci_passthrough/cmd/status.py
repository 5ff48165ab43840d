# SPDX-License-Identifier: Apache-2.0
"""``pci-passthrough-status upgrade check``: checks before services start.

The exit status is oslo.upgradecheck's: 0 means success, 1 a warning, 2 that a
service would not start or not work, 255 that the check itself failed.
"""

from collections.abc import Callable
import importlib.util
import os
import sys
import types

from oslo_config import cfg
from oslo_upgradecheck import upgradecheck

import pci_passthrough
from pci_passthrough import conf as conf_module
from pci_passthrough import exception
from pci_passthrough import store
from pci_passthrough.cmd import database_errors
from pci_passthrough.nova_plugin.install import deployment
from pci_passthrough.nova_plugin.install import verify
from pci_passthrough.store import hosts
from pci_passthrough.store import schema

PROG = 'pci-passthrough-status'

_FAILED = 255

#: The largest number of hosts, or of Nova flavors, that a message names.
_MOST_NAMES = 10

_OPTS = [
    cfg.StrOpt('noun', positional=True, required=True, choices=['upgrade']),
    cfg.StrOpt('verb', positional=True, required=True, choices=['check']),
    cfg.BoolOpt('json', default=False, help='Print the results as JSON.'),
    cfg.MultiStrOpt(
        'nova-conf',
        default=[],
        metavar='FILE',
        help="""
A nova.conf to check, of any of Nova's processes. It may be given several
times; like the files of Nova's --config-file, they are one configuration. The
default are nova.conf and the files of nova.conf.d where Nova looks for them.
""",
    ),
    cfg.StrOpt(
        'api-paste',
        metavar='FILE',
        help="""
The paste file of nova-api to check: Nova's api-paste.ini, or the file that
replaces it. The default is the one beside nova.conf, if there is one.
""",
    ),
]

_Code = upgradecheck.Code
_Result = upgradecheck.Result


class Checks(upgradecheck.UpgradeCommands):
    """The checks, each with a row in the printed table.

    :param conf: configuration, with the options of this project and of this
        program.
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._conf = conf

    def check(self) -> upgradecheck.Code:
        """Run the checks for which this machine has something to check.

        What is not checked is no success: it has no row in the table, and a
        line on standard error with the reason.
        """
        checks = []
        for name, check, reason_against in (
            ('Database schema', Checks._check_schema, self._no_database()),
            ('Hosts', Checks._check_hosts, self._no_database()),
            ("Nova's code", Checks._check_nova, _no_nova()),
            (
                "Nova's configuration",
                Checks._check_nova_conf,
                self._no_nova_conf(),
            ),
            ("nova-api's paste file", Checks._check_paste, self._no_paste()),
            ('Guard of Nova flavors', Checks._check_guard, self._no_flavors()),
            (
                "Placement's candidates",
                Checks._check_candidates,
                self._no_database() or self._no_nova_conf(),
            ),
        ):
            if reason_against is None:
                checks.append((name, _guarded(check)))
            else:
                print(
                    f'Not checked: {name}: {reason_against}', file=sys.stderr
                )
        if not checks:
            raise exception.InvalidConfiguration('there is nothing to check')
        self._upgrade_checks = tuple(checks)
        return super().check()

    def _check_schema(self) -> upgradecheck.Result:
        database = store.Reader.from_conf(self._conf)
        try:
            schema.check(database)
        finally:
            database.close()
        return _Result(_Code.SUCCESS)

    def _check_hosts(self) -> upgradecheck.Result:
        """Warn of hosts whose agent reports, but not their nova-compute."""
        database = store.Reader.from_conf(self._conf)
        try:
            schema.check(database)
            policy = store.Policy.from_conf(self._conf)
            known = hosts.get_all(database, policy.limits)
        finally:
            database.close()
        silent = [
            host.host
            for host in known
            if host.is_up and not host.tracker_is_up
        ]
        if not silent:
            return _Result(_Code.SUCCESS)
        return _Result(
            _Code.WARNING,
            f'{len(silent)} of {len(known)} hosts report devices, but their '
            'nova-compute has not registered, so the scheduler does not '
            f'use them: {_listed(silent)}. Is nova-compute running there, '
            'with pci_passthrough in its configuration?',
        )

    def _check_candidates(self) -> upgradecheck.Result:
        """Warn if Placement may leave out hosts that could serve."""
        files = self._nova_conf()
        most = deployment.read_nova_conf(files).most_candidates
        database = store.Reader.from_conf(self._conf)
        try:
            schema.check(database)
            policy = store.Policy.from_conf(self._conf)
            count = len(hosts.get_all(database, policy.limits))
        finally:
            database.close()
        if count <= most:
            return _Result(
                _Code.SUCCESS,
                f'hosts with devices: {count}; not checked: compute hosts '
                f'without. Are there more than {most} in all?',
            )
        return _Result(
            _Code.WARNING,
            f'{count} hosts have reported devices, and Placement names at '
            f'most {most} candidates: [scheduler] max_placement_results. '
            'Hosts with free devices may be left out, and servers find no '
            f'host. Write max_placement_results = {2 * count} for '
            'nova-scheduler, more than there are compute hosts in all',
        )

    def _check_nova(self) -> upgradecheck.Result:
        accepted: tuple[str, ...] = ()
        files = self._nova_conf()
        if files:
            accepted = deployment.read_nova_conf(files).accepted_changes
        verify.check(accepted)
        return _Result(_Code.SUCCESS)

    def _check_nova_conf(self) -> upgradecheck.Result:
        files = self._nova_conf()
        conf = deployment.read_nova_conf(files)
        faults = deployment.faults_of_source(conf)
        faults += deployment.faults_of_later_files(files)
        faults += deployment.faults_of_filters(conf)
        faults += deployment.faults_of_weighers(conf)
        if faults:
            return _Result(_Code.FAILURE, _faults(' '.join(files), faults))
        return _Result(_Code.SUCCESS)

    def _check_paste(self) -> upgradecheck.Result:
        path = str(self._paste())
        faults = deployment.faults_of_paste(path)
        if not faults:
            return _Result(_Code.SUCCESS)
        if self._conf.api_paste:
            return _Result(_Code.FAILURE, _faults(path, faults))
        # Packages of Nova bring the file to compute hosts, too.
        return _Result(
            _Code.WARNING,
            _faults(path, faults) + '. If nova-api runs here, it refuses '
            'servers with PCI flavors, or makes them without devices',
        )

    def _check_guard(self) -> upgradecheck.Result:
        """Warn of Nova flavors that a Nova without the plugin accepts."""
        # These import Nova, which not every machine has.
        from pci_passthrough.nova_plugin.compat import configuration

        configuration.read(self._nova_conf())
        from pci_passthrough.nova_plugin.leaving import conversions
        from pci_passthrough.nova_plugin.leaving import rewriting

        unmarked = [
            outcome.name
            for outcome in rewriting.rewrite_flavors(
                conversions.Guard(is_wanted=True), save=False
            )
        ]
        if not unmarked:
            return _Result(_Code.SUCCESS)
        return _Result(
            _Code.WARNING,
            f'{_listed(unmarked)} ask for PCI flavors without the guard: a '
            'Nova without the plugin would start servers without their '
            'devices. pci-passthrough-manage guard --apply adds it, when all '
            'processes of Nova have this version of the Nova plugin',
        )

    def _nova_conf(self) -> list[str]:
        return self._conf.nova_conf or deployment.find_nova_conf()

    def _paste(self) -> str | None:
        given: str | None = self._conf.api_paste
        return given or deployment.find_paste(self._nova_conf())

    def _no_nova_conf(self) -> str | None:
        if self._nova_conf():
            return None
        return 'there is no nova.conf where Nova looks for it; try --nova-conf'

    def _no_flavors(self) -> str | None:
        reason = _no_nova() or self._no_nova_conf()
        if reason is not None:
            return reason
        try:
            if deployment.names_databases(self._nova_conf()):
                return None
        except exception.InvalidConfiguration as error:
            return str(error)
        return (
            'nova.conf does not have [api_database] and [database] '
            'connection. This is normal on a compute host'
        )

    def _no_paste(self) -> str | None:
        if self._paste():
            return None
        return 'there is no paste file beside nova.conf; try --api-paste'

    def _no_database(self) -> str | None:
        """Return why there is no database to check; None if there is one.

        A compute host has no database. A default SQLite database that was
        never created cannot be distinguished from that.
        """
        location = self._conf.get_location('connection', 'database')
        path = os.path.join(self._conf.state_path, 'pci_passthrough.sqlite')
        chosen = location is not None and location.location not in (
            cfg.Locations.opt_default,
            cfg.Locations.set_default,
        )
        if chosen or os.path.exists(path):
            return None
        return (
            f'[database] connection is not set, and {path} does not exist. '
            'This is normal on a compute host, but conductors need a database'
        )


def _listed(names: list[str]) -> str:
    more = ', …' if len(names) > _MOST_NAMES else ''
    return ', '.join(names[:_MOST_NAMES]) + more


def _no_nova() -> str | None:
    if importlib.util.find_spec('nova') is None:
        return (
            'Nova is not installed in the Python environment of this program'
        )
    return None


def _guarded(
    check: Callable[[Checks], upgradecheck.Result],
) -> Callable[[Checks], upgradecheck.Result]:
    """Turn an expected error into a failure, so that other checks run."""

    def guarded(checks: Checks) -> upgradecheck.Result:
        try:
            return check(checks)
        except database_errors.EXPECTED as error:
            return _Result(
                _Code.FAILURE, database_errors.describe(error, checks._conf)
            )

    return guarded


def _faults(where: str, faults: list[str]) -> str:
    return f'{where}: {"; ".join(faults)}'


def main(argv: list[str] | None = None) -> int:
    """Run the checks.

    :returns: the exit status, see the module's docstring.
    """
    conf = cfg.ConfigOpts()
    conf_module.register_opts(conf)
    conf.register_cli_opts(_OPTS)
    try:
        conf(
            sys.argv[1:] if argv is None else argv,
            project='pci_passthrough',
            prog=PROG,
            version=pci_passthrough.version(),
        )
    except database_errors.EXPECTED as error:
        database_errors.report(PROG, error, None)
        return _FAILED
    # Its own command line takes options before the subcommand only, and has
    # no --version. It reads --json from here.
    upgradecheck.CONF = types.SimpleNamespace(  # type: ignore[assignment]
        command=types.SimpleNamespace(json=conf.json)
    )
    try:
        return int(Checks(conf).check())
    except Exception as error:
        database_errors.report(PROG, error, conf)
        return _FAILED
