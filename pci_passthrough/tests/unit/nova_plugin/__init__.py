# SPDX-License-Identifier: Apache-2.0
"""Tests of the parts of the Nova plugin that run without Nova."""
