# SPDX-License-Identifier: Apache-2.0
"""Pools of equal devices."""

from openstack import resource

from pci_passthrough.sdk import hardware


class PciPool(hardware.Hardware):
    """Devices of one host that are alike, counted."""

    resources_key = 'pci_pools'
    base_path = '/pci-pools'
    allow_list = True
    query_names = hardware.FILTERS

    free: int = resource.Body('free', type=int)
    total: int = resource.Body('total', type=int)
