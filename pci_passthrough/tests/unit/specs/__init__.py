# SPDX-License-Identifier: Apache-2.0
"""Tests of the specs: tables of valid and invalid input, and fuzzing."""
