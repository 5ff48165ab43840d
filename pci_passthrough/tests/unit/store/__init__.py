# SPDX-License-Identifier: Apache-2.0
"""Tests of the store that need no database server."""
