# SPDX-License-Identifier: Apache-2.0
"""Tests of matching pool keys with PCI flavors and NICs."""
