# SPDX-License-Identifier: Apache-2.0
"""Replaces Nova's PCI device tracker in nova-compute."""
