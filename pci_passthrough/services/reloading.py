# SPDX-License-Identifier: Apache-2.0
"""Reloads the configuration at SIGHUP, if the new one can be used."""

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
    """A service that checks a new configuration before it uses it."""

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
    the configuration that it was given, then stops its workers, and forks new
    ones. So the new configuration is checked once and before the workers
    stop: a mistake in it is logged, and the workers go on with the last good
    configuration. Without the check, each worker would end with the same
    error again and again, while the launcher lives and systemd sees nothing.

    :param conf: the configuration of the start.
    :param launched: the service, created with ``conf``.
    :param load: reads the whole configuration again.
    :param workers: number of processes; SIGHUP does not change it.
    """
    return service.launch(
        _LaunchedConf(conf, launched, load), launched, workers=workers
    )


class _LaunchedConf:
    """The configuration for the launcher: always the last usable one."""

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
        """Read the configuration again; return whether it can be used."""
        try:
            conf = self._load()
            opts.register_service_opts(conf)
            # The options that the launcher itself is going to read.
            _ = conf.graceful_shutdown_timeout, conf.log_options
            self._launched.reconfigure(conf)
        except (cfg.Error, exception.PciPassthroughError) as error:
            LOG.error(
                'The new configuration cannot be used; going on with the one '
                'before: %s',
                # An entry may extend over several lines.
                ' '.join(str(error).split()),
            )
            return False
        self._conf = conf
        LOG.info('Reloaded the configuration')
        return True
