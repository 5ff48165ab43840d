# SPDX-License-Identifier: Apache-2.0
"""Runs Nova's tests with the Nova plugin; failed ones also without it."""
