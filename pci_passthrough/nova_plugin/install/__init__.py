# SPDX-License-Identifier: Apache-2.0
"""Puts the Nova plugin into a Nova process, after verifying that it fits."""
