# SPDX-License-Identifier: Apache-2.0
"""Views: answers from several tables, for people, metrics and Nova.

====================  =====================================================
``supply_snapshots``  free devices of candidate hosts, for the scheduler
``availability``      free devices and requests of PCI flavors
``explanations``      which hosts can serve requests, and why others cannot
``near_misses``       pools that fail only one condition of a PCI flavor
``effects``           dry runs: the effect of changing a PCI flavor
``device_pages``      devices, filtered, page by page
``pool_pages``        pools, filtered, page by page
``census``            all hosts and devices, for the metrics
====================  =====================================================
"""
