# SPDX-License-Identifier: Apache-2.0
"""*Admin > PCI > Why No Host*."""

from django.utils.translation import gettext_lazy as _
import horizon

from pci_passthrough_dashboard import api
from pci_passthrough_dashboard.content import policies


class PciRefusals(horizon.Panel):
    """Refusals of Nova's scheduler, by server."""

    name = _('Why No Host')
    slug = 'pci_refusals'
    permissions = (api.PERMISSION,)
    policy_rules = policies.rules('refusals:all_projects')
