# SPDX-License-Identifier: Apache-2.0
"""Holds devices for instances and gives them back."""
