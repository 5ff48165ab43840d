# SPDX-License-Identifier: Apache-2.0
"""Turns Nova's records native, and back: ``leave`` and ``return``.

Without the Nova plugin, Nova ignores the extra spec of PCI flavors, and no
native pool serves their requests. So before the plugin is taken out, the Nova
flavors and the instances get ``[pci] alias`` requests for the same devices.

===============  ==========================================================
``extra_specs``  converts the extra specs of a Nova flavor. Pure
``nics``         converts the request of a NIC
``conversions``  converts the requests of an instance
``rewriting``    goes through Nova's records, and saves what was converted
===============  ==========================================================

Only ``pci-passthrough-manage`` uses this package. It runs in an environment
with Nova, and in none of Nova's processes.
"""
