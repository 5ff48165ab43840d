# SPDX-License-Identifier: Apache-2.0
"""*Admin > PCI > PCI Pools*."""

from django.utils.translation import gettext_lazy as _
import horizon

from pci_passthrough_dashboard import api
from pci_passthrough_dashboard.content import policies


class PciPools(horizon.Panel):
    """How much of each PCI flavor is free, and where."""

    name = _('PCI Pools')
    slug = 'pci_pools'
    permissions = (api.PERMISSION,)
    policy_rules = policies.rules(
        'hosts:list', 'pci_devices:list', 'pci_flavors:availability_counts'
    )
