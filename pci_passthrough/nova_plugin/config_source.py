# SPDX-License-Identifier: Apache-2.0
"""Installs the Nova plugin when a Nova process has read its configuration.

A driver for oslo.config's configuration sources. It has no values: oslo.config
calls it after it has read the files, and that is enough. In ``nova.conf``::

    [DEFAULT]
    config_source = pci_passthrough

    [pci_passthrough]
    driver = pci_passthrough

oslo.config catches every exception of a driver and goes on without it. Only
``SystemExit`` ends the process, so that is raised here.

Nova 34 reads its files for the first time before eventlet patches the
standard library. oslo.config loads this module then, so the module imports
only oslo.config.
"""

from typing import Any

from oslo_config import cfg
from oslo_config import sources

#: Programs of Nova that do not use PCI devices. Operators need them also if
#: the Nova plugin refuses this release of Nova.
_TOOLS = frozenset(
    {
        'nova-manage',
        'nova-novncproxy',
        'nova-policy',
        'nova-serialproxy',
        'nova-spicehtml5proxy',
        'nova-status',
    }
)


class Driver(sources.ConfigurationSourceDriver):
    """``driver = pci_passthrough`` of a group in ``config_source``."""

    def open_source_from_opt_group(
        self, conf: cfg.ConfigOpts, group_name: str
    ) -> sources.ConfigurationSource:
        """Install the Nova plugin if this process is a Nova service.

        :raises SystemExit: the plugin cannot be installed.
        """
        # privsep-helper and Nova 34's first reading have the same file, and
        # another project name.
        if conf.project == 'nova' and conf.prog not in _TOOLS:
            _install(conf, group_name)
        return _EmptySource()

    def list_options_for_discovery(self) -> list[cfg.Opt]:
        """Return no options: ``pci_passthrough.nova`` lists them."""
        return []


class _EmptySource(sources.ConfigurationSource):
    """A source without values."""

    def get(
        self, group_name: str | None, option_name: str, opt: cfg.Opt
    ) -> tuple[Any, cfg.LocationInfo | None]:
        """Return no value, for each option."""
        return sources._NoValue, None


def _install(conf: cfg.ConfigOpts, group_name: str) -> None:
    try:
        from pci_passthrough.nova_plugin.install import bootstrap

        bootstrap.check_group(group_name)
        bootstrap.install(conf)
    except Exception as error:
        raise SystemExit(f'{conf.prog}: pci_passthrough: {error}') from error
