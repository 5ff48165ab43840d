# SPDX-License-Identifier: Apache-2.0
"""The store, on each of the databases that it supports."""
