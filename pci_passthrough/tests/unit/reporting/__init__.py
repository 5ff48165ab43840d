# SPDX-License-Identifier: Apache-2.0
"""Tests of reports and what follows from them."""
