# SPDX-License-Identifier: Apache-2.0
"""os-vif, whose plugins nova-compute loads at its start."""

# The description of a plugin.
from os_vif.objects.host_info import HostPluginInfo

# The base class of plugins.
from os_vif.plugin import PluginBase

__all__ = ['HostPluginInfo', 'PluginBase']
