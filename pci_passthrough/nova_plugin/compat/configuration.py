# SPDX-License-Identifier: Apache-2.0
"""Nova's configuration and databases, for a program outside of Nova."""

from collections.abc import Sequence

from nova import config
from nova import objects
from nova import rpc
import nova.conf
from nova.db.api import api as api_database
from nova.db.main import api as main_database

__all__: list[str] = []


def read(files: Sequence[str]) -> None:
    """Read configuration files of Nova, and get its objects ready.

    :param files: in the order in which they count.
    :raises: oslo_config.cfg.Error
    """
    conf = nova.conf.CONF
    # With the project name 'nova', config_source would install the plugin.
    conf(
        [],
        project='pci_passthrough',
        default_config_files=list(files),
        default_config_dirs=[],
    )
    # Nova's own function for this needs the project name 'nova'. The module
    # is None if osprofiler is not installed.
    if config.profiler is not None:
        config.profiler.set_defaults(conf)
    # Objects of a cell have a transport to it, which connects when it is used:
    # never here.
    rpc.init(conf)
    main_database.configure(conf)
    api_database.configure(conf)
    objects.register_all()
