# SPDX-License-Identifier: Apache-2.0
"""PCI flavors: their values, changes and use."""
