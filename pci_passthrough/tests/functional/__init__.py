# SPDX-License-Identifier: Apache-2.0
"""Tests against real servers which they start themselves."""
