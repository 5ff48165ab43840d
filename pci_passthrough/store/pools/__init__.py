# SPDX-License-Identifier: Apache-2.0
"""Pools: ``GROUP BY`` over ``pci_devices``, computed when asked."""
