# SPDX-License-Identifier: Apache-2.0
"""os-vif, which nova-compute asks for plugins at its start."""

# What a plugin says of itself.
from os_vif.objects.host_info import HostPluginInfo

# What a plugin must be derived from.
from os_vif.plugin import PluginBase

__all__ = ['HostPluginInfo', 'PluginBase']
