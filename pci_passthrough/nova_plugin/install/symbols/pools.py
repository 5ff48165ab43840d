# SPDX-License-Identifier: Apache-2.0
"""Symbols of Nova around pools, in the scheduler and in nova-compute."""

from pci_passthrough.nova_plugin.install.symbols import symbol

SYMBOLS = (
    *symbol.listed(
        'nova.pci.stats',
        symbol.Use.OVERRIDDEN,
        {
            'PciDeviceStats': 'PciFlavorStats is derived from it',
            'PciDeviceStats.support_requests': (
                'decides whether a host can serve requests'
            ),
            'PciDeviceStats.apply_requests': 'removes devices from the pools',
            'PciDeviceStats.consume_requests': 'claims devices',
            'PciDeviceStats.__iter__': 'returns the pools that are stored',
            'PciDeviceStats.to_device_pools_obj': 'stores the pools',
        },
    ),
    *symbol.listed(
        'nova.pci.stats',
        symbol.Use.RELIED_ON,
        {
            'PciDeviceStats.__init__': 'sets the attributes of pools',
            'PciDeviceStats._filter_pools': (
                'matches no native pool with a PCI flavor'
            ),
            'PciDeviceStats._filter_pools_for_spec': (
                'matches no native pool with a PCI flavor'
            ),
            'PciDeviceStats._apply_request': 'removes devices from the pools',
            'PciDeviceStats._get_rp_uuids_for_request': (
                'does not restrict requests without groups'
            ),
            'PciDeviceStats._handle_device_dependents': (
                'excludes a PF and its VFs'
            ),
            'PciDeviceStats.has_remote_managed_device_pools': (
                'reads the pools'
            ),
            'PciDeviceStats.add_device': 'adds to pools',
            'PciDeviceStats.remove_device': 'removes from pools',
        },
    ),
)
