# SPDX-License-Identifier: Apache-2.0
"""*Admin > PCI > PCI Devices*."""

from django.utils.translation import gettext_lazy as _
import horizon

from pci_passthrough_dashboard import api
from pci_passthrough_dashboard.content import policies


class PciDevices(horizon.Panel):
    """The devices of all hosts."""

    name = _('PCI Devices')
    slug = 'pci_devices'
    permissions = (api.PERMISSION,)
    policy_rules = policies.rules('pci_devices:list')
