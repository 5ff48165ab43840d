# SPDX-License-Identifier: Apache-2.0
"""*Admin > PCI > Why No Host*."""

PANEL = 'pci_refusals'
PANEL_DASHBOARD = 'admin'
PANEL_GROUP = 'pci'
ADD_PANEL = (
    'pci_passthrough_dashboard.content.admin.pci_refusals.panel.PciRefusals'
)
