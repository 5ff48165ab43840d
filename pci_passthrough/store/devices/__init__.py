# SPDX-License-Identifier: Apache-2.0
"""Devices: what hosts report of them, and what operators do to them."""
