# SPDX-License-Identifier: Apache-2.0
"""All configuration options, one module per group.

Nothing is registered at import. A program creates its ``ConfigOpts`` with
``load`` and passes it to its parts.
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
from pci_passthrough.conf import nova_api

_GROUPS = (base, agent, api, conductor, nova_api)


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
    """Parse the command line and configuration files, and check all values.

    oslo.config itself checks a value when it is first used, which may be
    hours after the start.

    :param args: the command line without the program's name.
    :param prog: the program's name.
    :param config_files: the files to read instead of oslo.config's default
        files below /etc and ~.
    :param cli_opts: options of this program's command line.
    :raises oslo_config.cfg.Error: the command line or a file is malformed.
    :raises exception.InvalidConfiguration: a file is unreadable, or a value
        is invalid.
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
    _check_all(conf)
    return conf


def _check_all(conf: cfg.ConfigOpts) -> None:
    for name in conf:
        _check(conf, name, None)
        if isinstance(conf[name], cfg.ConfigOpts.GroupAttr):
            for option in conf[name]:
                _check(conf, option, name)


def _check(conf: cfg.ConfigOpts, name: str, group: str | None) -> None:
    try:
        conf[name] if group is None else conf[group][name]
    except cfg.ConfigFileValueError as error:
        # oslo.config's message shows an internal object instead of the file.
        match = _CONF_FILE_VALUE_ERROR.search(str(error))
        if match is None:
            raise
        raise exception.InvalidConfiguration(
            f'{match["file"]}: [{group or "DEFAULT"}] {name}: '
            f'{match["reason"]}'
        ) from error


_CONF_FILE_VALUE_ERROR = re.compile(
    "detail='(?P<file>.*?)'.* is not valid: (?P<reason>.*)", re.DOTALL
)


def list_opts() -> list[tuple[str | None, list[cfg.Opt]]]:
    """Return all options of this project, for oslo-config-generator."""
    return list(itertools.chain.from_iterable(m.list_opts() for m in _GROUPS))
