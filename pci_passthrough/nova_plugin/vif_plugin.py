# SPDX-License-Identifier: Apache-2.0
"""Installs the Nova plugin in a nova-compute without ``config_source``.

nova-compute loads every installed os-vif plugin at its start, whatever its
configuration. This one plugs no interface. It installs the Nova plugin if
``nova.conf`` asks for it: a nova-compute without the plugin would drop
requests for PCI flavors on a move. On hosts where only the package is
installed it does nothing.
"""

from typing import Any
from typing import NoReturn

from pci_passthrough.nova_plugin.compat import vif as os_vif
from pci_passthrough.nova_plugin.install import bootstrap


class VifPlugin(os_vif.PluginBase):
    """Plugs no interface.

    :raises UnsupportedNova: the Nova plugin cannot be installed, and
        nova.conf asks for it. os-vif passes the error on, and nova-compute
        ends.
    """

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        conf = bootstrap.nova_conf()
        if conf.project == 'nova' and bootstrap.is_wanted(conf):
            bootstrap.install(conf)

    def describe(self) -> Any:
        """Return that this plugin plugs no type of interface."""
        return os_vif.HostPluginInfo(
            plugin_name='pci_passthrough', vif_info=[]
        )

    def plug(self, vif: Any, instance_info: Any) -> NoReturn:
        """Refuse; os-vif does not call it, because of ``describe``."""
        raise NotImplementedError

    def unplug(self, vif: Any, instance_info: Any) -> NoReturn:
        """Refuse; os-vif does not call it, because of ``describe``."""
        raise NotImplementedError
