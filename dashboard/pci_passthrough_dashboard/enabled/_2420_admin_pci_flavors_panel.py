# SPDX-License-Identifier: Apache-2.0
"""*Admin > PCI > PCI Flavors*."""

PANEL = 'pci_flavors'
PANEL_DASHBOARD = 'admin'
PANEL_GROUP = 'pci'
ADD_PANEL = (
    'pci_passthrough_dashboard.content.admin.pci_flavors.panel.PciFlavors'
)
ADD_JS_FILES = ['pci_passthrough_dashboard/preview.js']
