# SPDX-License-Identifier: Apache-2.0
"""*Project > Compute > PCI Flavors*, and what all panels share."""

PANEL = 'pci_flavors'
PANEL_DASHBOARD = 'project'
PANEL_GROUP = 'compute'
ADD_PANEL = (
    'pci_passthrough_dashboard.content.project.pci_flavors.panel.PciFlavors'
)
ADD_INSTALLED_APPS = ['pci_passthrough_dashboard']
ADD_SCSS_FILES = ['pci_passthrough_dashboard/pci_passthrough.scss']
ADD_JS_FILES = ['pci_passthrough_dashboard/copy.js']
