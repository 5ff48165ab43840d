# SPDX-License-Identifier: Apache-2.0
"""The application for WSGI servers: ``pci_passthrough.api.wsgi:application``.

A WSGI server only imports this module, so the import reads the configuration.
No other module imports it.
"""

from collections.abc import Mapping
import os
import pathlib
from typing import TYPE_CHECKING

# Before anything else imports oslo.service.
from pci_passthrough import threading_backend  # noqa: F401

# isort: split
from oslo_log import log as logging

from pci_passthrough import conf as conf_module
from pci_passthrough.api import deploy
from pci_passthrough.api.backends import Backends

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

PROG = 'pci-passthrough-api'

#: File names, separated by ``;``; relative ones are below the directory.
_FILES = 'OS_PCI_PASSTHROUGH_CONFIG_FILES'
_DIRECTORY = 'OS_PCI_PASSTHROUGH_CONFIG_DIR'


def load(environ: Mapping[str, str]) -> 'WSGIApplication':
    """Return the application, configured by environment variables.

    They replace a command line, which is the WSGI server's own. Without them
    the configuration is read from the usual places below /etc and ~.

    :raises: oslo_config.cfg.Error, InvalidConfiguration
    """
    conf = conf_module.load([], PROG, config_files(environ))
    logging.setup(conf, 'pci_passthrough')
    return deploy.load(conf, Backends.from_conf(conf))


def config_files(environ: Mapping[str, str]) -> list[str] | None:
    """Return the configuration files that an environment names, if any."""
    names = [name for name in environ.get(_FILES, '').split(';') if name]
    if not names and not environ.get(_DIRECTORY):
        return None
    directory = pathlib.Path(environ.get(_DIRECTORY) or '/etc/pci_passthrough')
    return [
        str(directory / name) for name in names or ['pci_passthrough.conf']
    ]


application = load(os.environ)
