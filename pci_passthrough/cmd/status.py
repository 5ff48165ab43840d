# SPDX-License-Identifier: Apache-2.0
"""``pci-passthrough-status upgrade check``: checks before services start.

The exit status is oslo.upgradecheck's: 0 means success, 1 a warning, 2 that a
service would not start or not work, 255 that the check itself failed.
"""

from collections.abc import Callable
import importlib.util
import os
import sys

from oslo_config import cfg
from oslo_upgradecheck import upgradecheck

import pci_passthrough
from pci_passthrough import conf as conf_module
from pci_passthrough import store
from pci_passthrough.cmd import errors
from pci_passthrough.nova_plugin.install import deployment
from pci_passthrough.nova_plugin.install import verify
from pci_passthrough.store import hosts
from pci_passthrough.store import schema

PROG = 'pci-passthrough-status'

_FAILED = 255

#: The largest number of hosts that a message names.
_MOST_HOSTS = 10

_OPTS = [
    cfg.MultiStrOpt(
        'nova-conf',
        default=[],
        metavar='FILE',
        help="""
A nova.conf to check, of any of Nova's processes. It may be given several
times; like the files of Nova's --config-file, they are one configuration.
""",
    ),
    cfg.StrOpt(
        'api-paste',
        metavar='FILE',
        help="""
The paste file of nova-api to check: Nova's api-paste.ini, or the file that
replaces it.
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
        self._upgrade_checks = (
            ('Database schema', _guarded(Checks._check_schema)),
            ('Hosts', _guarded(Checks._check_hosts)),
            ("Nova's code", _guarded(Checks._check_nova)),
            ("Nova's configuration", _guarded(Checks._check_nova_conf)),
            ("nova-api's paste file", _guarded(Checks._check_paste)),
        )

    def _check_schema(self) -> upgradecheck.Result:
        missing = self._missing_database()
        if missing is not None:
            return missing
        database = store.Reader.from_conf(self._conf)
        try:
            schema.check(database)
        finally:
            database.close()
        return _Result(_Code.SUCCESS)

    def _check_hosts(self) -> upgradecheck.Result:
        """Warn of hosts whose agent reports, but not their nova-compute."""
        missing = self._missing_database()
        if missing is not None:
            return missing
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
        names = ', '.join(silent[:_MOST_HOSTS])
        if len(silent) > _MOST_HOSTS:
            names += ', …'
        return _Result(
            _Code.WARNING,
            f'{len(silent)} of {len(known)} hosts report devices, but their '
            'nova-compute has not registered, so the scheduler does not '
            f'use them: {names}. Is nova-compute running there, with '
            'pci_passthrough in its configuration?',
        )

    def _check_nova(self) -> upgradecheck.Result:
        if importlib.util.find_spec('nova') is None:
            return _Result(
                _Code.SUCCESS, 'not checked: Nova is not installed here'
            )
        accepted: tuple[str, ...] = ()
        if self._conf.nova_conf:
            conf = deployment.read_nova_conf(self._conf.nova_conf)
            accepted = conf.accepted_changes
        verify.check(accepted)
        return _Result(_Code.SUCCESS)

    def _check_nova_conf(self) -> upgradecheck.Result:
        files = self._conf.nova_conf
        if not files:
            return _Result(
                _Code.SUCCESS, 'not checked: no --nova-conf was given'
            )
        conf = deployment.read_nova_conf(files)
        faults = deployment.faults_of_source(conf)
        faults += deployment.faults_of_filters(conf)
        faults += deployment.faults_of_weighers(conf)
        if faults:
            return _failure(' '.join(files), faults)
        if conf.enabled_filters is None:
            return _Result(
                _Code.WARNING,
                f'{" ".join(files)}: [filter_scheduler] enabled_filters is '
                "not set; nova-scheduler's must be, with PciFlavorFilter",
            )
        return _Result(_Code.SUCCESS)

    def _check_paste(self) -> upgradecheck.Result:
        path = self._conf.api_paste
        if not path:
            return _Result(
                _Code.SUCCESS, 'not checked: no --api-paste was given'
            )
        faults = deployment.faults_of_paste(path)
        return _failure(path, faults) if faults else _Result(_Code.SUCCESS)

    def _missing_database(self) -> upgradecheck.Result | None:
        """Return a warning if there is no database to check; None if there is.

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
        return _Result(
            _Code.WARNING,
            f'not checked: [database] connection is not set, and {path} does '
            'not exist. This is normal on a compute host, but conductors '
            'need a database',
        )


def _guarded(
    check: Callable[[Checks], upgradecheck.Result],
) -> Callable[[Checks], upgradecheck.Result]:
    """Turn an expected error into a failure, so that other checks run."""

    def guarded(checks: Checks) -> upgradecheck.Result:
        try:
            return check(checks)
        except errors.EXPECTED as error:
            return _Result(_Code.FAILURE, errors.describe(error, checks._conf))

    return guarded


def _failure(where: str, faults: list[str]) -> upgradecheck.Result:
    return _Result(_Code.FAILURE, f'{where}: {"; ".join(faults)}')


def main(argv: list[str] | None = None) -> int:
    """Run the checks.

    :returns: the exit status, see the module's docstring.
    """
    conf = cfg.ConfigOpts()
    conf_module.register_opts(conf)
    conf.register_cli_opts(_OPTS)
    upgradecheck.register_cli_options(conf, Checks(conf))
    try:
        conf(
            sys.argv[1:] if argv is None else argv,
            project='pci_passthrough',
            prog=PROG,
            version=pci_passthrough.version(),
        )
    except errors.EXPECTED as error:
        errors.report(PROG, error, None)
        return _FAILED
    # ``run`` reads --json from here. upgradecheck.main would set it, too, but
    # has no --version.
    upgradecheck.CONF = conf
    return upgradecheck.run(conf)
