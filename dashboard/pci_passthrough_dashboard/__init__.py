# SPDX-License-Identifier: Apache-2.0
"""A plugin of Horizon: PCI flavors for projects, devices for operators."""
