# SPDX-License-Identifier: Apache-2.0
"""Brings the door into a nova-compute which ``config_source`` did not reach.

nova-compute loads every installed os-vif plugin at its start, whatever its
configuration says. This one plugs no interface. It installs the door when
``nova.conf`` asks for it: a nova-compute without it would drop requests for
PCI devices on a move. Nothing is done, and nothing changes, where the
package is merely installed.
"""

from typing import Any
from typing import NoReturn

from pci_passthrough.nova_plugin.compat import vif as os_vif
from pci_passthrough.nova_plugin.install import bootstrap


class VifPlugin(os_vif.PluginBase):
    """Plugs nothing.

    :raises UnsupportedNova: the door cannot be installed, and nova.conf asks
        for it. os-vif lets it pass, and nova-compute ends.
    """

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        conf = bootstrap.nova_conf()
        if conf.project == 'nova' and bootstrap.is_wanted(conf):
            bootstrap.install(conf)

    def describe(self) -> Any:
        """Return that no kind of interface is plugged."""
        return os_vif.HostPluginInfo(
            plugin_name='pci_passthrough', vif_info=[]
        )

    def plug(self, vif: Any, instance_info: Any) -> NoReturn:
        """Refuse: no interface is described, so none is sent."""
        raise NotImplementedError

    def unplug(self, vif: Any, instance_info: Any) -> NoReturn:
        """Refuse: no interface is described, so none is sent."""
        raise NotImplementedError
