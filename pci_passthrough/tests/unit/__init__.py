# SPDX-License-Identifier: Apache-2.0
"""Tests which need no server and no privilege."""
