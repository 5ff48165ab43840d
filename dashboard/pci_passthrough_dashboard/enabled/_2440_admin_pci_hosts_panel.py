# SPDX-License-Identifier: Apache-2.0
"""*Admin > PCI > PCI Hosts*."""

PANEL = 'pci_hosts'
PANEL_DASHBOARD = 'admin'
PANEL_GROUP = 'pci'
ADD_PANEL = 'pci_passthrough_dashboard.content.admin.pci_hosts.panel.PciHosts'
