# SPDX-License-Identifier: Apache-2.0
"""*Admin > PCI > PCI Hosts*."""

from django.utils.translation import gettext_lazy as _
import horizon

from pci_passthrough_dashboard import api
from pci_passthrough_dashboard.content import policies


class PciHosts(horizon.Panel):
    """The hosts whose agents have reported."""

    name = _('PCI Hosts')
    slug = 'pci_hosts'
    permissions = (api.PERMISSION,)
    policy_rules = policies.rules('hosts:list')
