# SPDX-License-Identifier: Apache-2.0
"""Tests of matching PCI flavors against pool keys."""
