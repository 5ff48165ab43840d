# SPDX-License-Identifier: Apache-2.0
"""*Project > Compute > PCI Flavors*."""

from django.utils.translation import gettext_lazy as _
import horizon

from pci_passthrough_dashboard import api


class PciFlavors(horizon.Panel):
    """The PCI flavors that a project may ask for."""

    name = _('PCI Flavors')
    slug = 'pci_flavors'
    permissions = (api.PERMISSION,)
    policy_rules = ((api.POLICY_SCOPE, 'pci_passthrough:pci_flavors:list'),)
