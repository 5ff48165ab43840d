# SPDX-License-Identifier: Apache-2.0
"""What SIGHUP does: a configuration that can be used replaces the old one."""

from collections.abc import Callable
from typing import Any
from typing import Protocol

from oslo_config import cfg
from oslo_log import log as logging
from oslo_service import opts
from oslo_service import service

from pci_passthrough import exception

LOG = logging.getLogger(__name__)


class Reconfigurable(Protocol):
    """A service which looks at a new configuration before it takes it."""

    def reconfigure(self, conf: cfg.ConfigOpts) -> None:
        """Use a configuration from the next ``start`` on.

        :raises: Invalid and nothing is changed.
        """


def launch(
    conf: cfg.ConfigOpts,
    launched: Reconfigurable,
    load: Callable[[], cfg.ConfigOpts],
    workers: int = 1,
) -> Any:
    """Start a service's processes; return oslo.service's launcher.

    At SIGHUP the launcher's process first calls ``reload_config_files`` of
    the configuration that it was given, then has its workers end, and forks
    new ones. So what is read anew is looked at once and before that: a
    mistake costs one line in the log, workers never see it, and they go on
    with what was good last. Otherwise each would die of it again and again,
    while the launcher lives and systemd sees nothing.

    :param conf: the configuration of the start.
    :param launched: the service, made with that.
    :param load: reads the configuration anew, and all of it.
    :param workers: how many processes; SIGHUP does not change it.
    """
    return service.launch(
        _LaunchedConf(conf, launched, load), launched, workers=workers
    )


class _LaunchedConf:
    """The configuration as the launcher sees it: the last one of use."""

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        launched: Reconfigurable,
        load: Callable[[], cfg.ConfigOpts],
    ) -> None:
        self._conf = conf
        self._launched = launched
        self._load = load

    def __getattr__(self, name: str) -> Any:
        return getattr(self._conf, name)

    def reload_config_files(self) -> bool:
        """Read anew; return whether that can be used."""
        try:
            conf = self._load()
            opts.register_service_opts(conf)
            # What the launcher is going to read itself, of all that.
            _ = conf.graceful_shutdown_timeout, conf.log_options
            self._launched.reconfigure(conf)
        except (cfg.Error, exception.PciPassthroughError) as error:
            LOG.error(
                'The configuration was read anew and cannot be used; going '
                'on with the one before: %s',
                # An entry may go over several lines.
                ' '.join(str(error).split()),
            )
            return False
        self._conf = conf
        LOG.info('The configuration was read anew')
        return True
