# SPDX-License-Identifier: Apache-2.0
"""*Admin > PCI > PCI Devices*."""

PANEL = 'pci_devices'
PANEL_DASHBOARD = 'admin'
PANEL_GROUP = 'pci'
ADD_PANEL = (
    'pci_passthrough_dashboard.content.admin.pci_devices.panel.PciDevices'
)
