# SPDX-License-Identifier: Apache-2.0
"""``pci-passthrough-status upgrade check``: is it safe to start services?

The exit status is oslo.upgradecheck's: 0 if all is well, 1 if something
deserves a look, 2 if a service would not start or not do its part, 255 if
the check itself has failed.
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

#: Most hosts that are named.
_MOST_HOSTS = 10

_OPTS = [
    cfg.MultiStrOpt(
        'nova-conf',
        default=[],
        metavar='FILE',
        help="""
A nova.conf to check, of any of Nova's processes. May be given several times,
as Nova's own --config-file; they count as one configuration.
""",
    ),
    cfg.StrOpt(
        'api-paste',
        metavar='FILE',
        help="""
The file that nova-api is assembled by, to check: Nova's api-paste.ini, or
the one that stands in its place.
""",
    ),
]

_Code = upgradecheck.Code
_Result = upgradecheck.Result


class Checks(upgradecheck.UpgradeCommands):
    """What is looked at; each check is told apart in the table.

    :param conf: with the options of this project and of this program.
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
        """Look for hosts that are not offered though their agent reports."""
        missing = self._missing_database()
        if missing is not None:
            return missing
        database = store.Reader.from_conf(self._conf)
        try:
            schema.check(database)
            policy = store.Policy.from_conf(self._conf)
            found = hosts.get_all(database, policy.limits)
        finally:
            database.close()
        silent = [
            host.host
            for host in found
            if host.is_up and not host.tracker_is_up
        ]
        if not silent:
            return _Result(_Code.SUCCESS)
        names = ', '.join(silent[:_MOST_HOSTS])
        if len(silent) > _MOST_HOSTS:
            names += ', …'
        return _Result(
            _Code.WARNING,
            f'{len(silent)} of {len(found)} hosts report devices, but their '
            'nova-compute has not registered, so the scheduler does not '
            f'offer them: {names}. Is nova-compute running there, with '
            'pci_passthrough in its configuration?',
        )

    def _check_nova(self) -> upgradecheck.Result:
        if importlib.util.find_spec('nova') is None:
            return _Result(
                _Code.SUCCESS, 'not checked: there is no Nova beside it'
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
        """Return what to say where there is no database to look at.

        A compute host has none. An embedded one that was never made looks
        the same.
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
            'not exist. That is right on a compute host; conductors need a '
            'database',
        )


def _guarded(
    check: Callable[[Checks], upgradecheck.Result],
) -> Callable[[Checks], upgradecheck.Result]:
    """Make an expected error a failure, and have the other checks run."""

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

    :returns: the exit status, see above.
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
    # Its own main would leave it there for --json, but knows no version.
    upgradecheck.CONF = conf
    return upgradecheck.run(conf)
