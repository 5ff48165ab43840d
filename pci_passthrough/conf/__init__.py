# SPDX-License-Identifier: Apache-2.0
"""All options, one file per group.

Nothing is registered at import: a program makes its own ``ConfigOpts`` with
``load`` and hands it down.
"""

from collections.abc import Sequence
import itertools
import os
import re

from oslo_config import cfg
from oslo_db import options as db_options
from oslo_log import log

import pci_passthrough
from pci_passthrough import exception
from pci_passthrough.conf import agent
from pci_passthrough.conf import api
from pci_passthrough.conf import base
from pci_passthrough.conf import conductor

_GROUPS = (base, agent, api, conductor)


def register_opts(conf: cfg.ConfigOpts) -> None:
    """Register this project's options, oslo.log's and oslo.db's."""
    for module in _GROUPS:
        module.register_opts(conf)
    log.register_options(conf)
    db_options.set_defaults(
        conf,
        connection='sqlite:///'
        + os.path.join('$state_path', 'pci_passthrough.sqlite'),
    )


def load(
    args: Sequence[str],
    prog: str,
    config_files: list[str] | None = None,
    cli_opts: Sequence[cfg.Opt] = (),
) -> cfg.ConfigOpts:
    """Read configuration files and the command line, all of it at once.

    oslo.config itself looks at a value when it is asked for, which may be
    hours after the start.

    :param args: without the program's name.
    :param prog: the program's name.
    :param config_files: instead of the usual places below /etc and ~.
    :param cli_opts: options of this program's command line.
    :raises: oslo_config.cfg.Error, InvalidConfiguration
    """
    conf = cfg.ConfigOpts()
    register_opts(conf)
    conf.register_cli_opts(cli_opts)
    try:
        conf(
            list(args),
            project='pci_passthrough',
            prog=prog,
            version=pci_passthrough.version(),
            default_config_files=config_files,
        )
    except (OSError, UnicodeError) as error:
        raise exception.InvalidConfiguration(
            f'a configuration file cannot be read: {error}'
        ) from error
    _read_all(conf)
    return conf


def _read_all(conf: cfg.ConfigOpts) -> None:
    for name in conf:
        _read(conf, name, None)
        if isinstance(conf[name], cfg.ConfigOpts.GroupAttr):
            for option in conf[name]:
                _read(conf, option, name)


def _read(conf: cfg.ConfigOpts, name: str, group: str | None) -> None:
    try:
        conf[name] if group is None else conf[group][name]
    except cfg.ConfigFileValueError as error:
        # Its own words show an internal object where the file should be.
        found = _CONF_FILE_VALUE_ERROR.search(str(error))
        if found is None:
            raise
        raise exception.InvalidConfiguration(
            f'{found["file"]}: [{group or "DEFAULT"}] {name}: '
            f'{found["reason"]}'
        ) from error


_CONF_FILE_VALUE_ERROR = re.compile(
    "detail='(?P<file>.*?)'.* is not valid: (?P<reason>.*)", re.DOTALL
)


def list_opts() -> list[tuple[str | None, list[cfg.Opt]]]:
    """Return all options of this project, for oslo-config-generator."""
    return list(itertools.chain.from_iterable(m.list_opts() for m in _GROUPS))
