# SPDX-License-Identifier: Apache-2.0
"""*Admin > PCI > PCI Flavors*."""

from django.utils.translation import gettext_lazy as _
import horizon

from pci_passthrough_dashboard import api
from pci_passthrough_dashboard.content import policies


class PciFlavors(horizon.Panel):
    """The PCI flavors of all projects."""

    name = _('PCI Flavors')
    slug = 'pci_flavors'
    permissions = (api.PERMISSION,)
    policy_rules = policies.rules('pci_flavors:all_projects')
