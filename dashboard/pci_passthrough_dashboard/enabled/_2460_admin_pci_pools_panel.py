# SPDX-License-Identifier: Apache-2.0
"""*Admin > PCI > PCI Pools*."""

PANEL = 'pci_pools'
PANEL_DASHBOARD = 'admin'
PANEL_GROUP = 'pci'
ADD_PANEL = 'pci_passthrough_dashboard.content.admin.pci_pools.panel.PciPools'
