# SPDX-License-Identifier: Apache-2.0
"""Brings the door into a Nova process that has read its configuration.

A driver for oslo.config's sources of values, which has none to offer: that it
is asked is the point. In ``nova.conf``::

    [DEFAULT]
    config_source = pci_passthrough

    [pci_passthrough]
    driver = pci_passthrough

oslo.config catches every exception of a driver and goes on without it. Only
``SystemExit`` ends the process, so that is raised here.

Nova 34 reads its files a first time before eventlet patches the standard
library, and so does everything that loads this module: it imports nothing
but oslo.config.
"""

from typing import Any

from oslo_config import cfg
from oslo_config import sources

#: Programs of Nova that place and claim nothing. An operator needs them when
#: the door does not fit, too.
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
        """Install the door, if this is a Nova service.

        :raises SystemExit: it cannot be installed.
        """
        # privsep-helper and Nova 34's early look read the same file.
        if conf.project == 'nova' and conf.prog not in _TOOLS:
            _install(conf, group_name)
        return _Nothing()

    def list_options_for_discovery(self) -> list[cfg.Opt]:
        """Return none: they are listed as ``pci_passthrough.nova``."""
        return []


class _Nothing(sources.ConfigurationSource):
    """A source that knows no option."""

    def get(
        self, group_name: str | None, option_name: str, opt: cfg.Opt
    ) -> tuple[Any, cfg.LocationInfo | None]:
        """Return that the value is elsewhere."""
        return sources._NoValue, None


def _install(conf: cfg.ConfigOpts, group_name: str) -> None:
    try:
        from pci_passthrough.nova_plugin.install import bootstrap

        bootstrap.check_group(group_name)
        bootstrap.install(conf)
    except Exception as error:
        raise SystemExit(f'{conf.prog}: pci_passthrough: {error}') from error
