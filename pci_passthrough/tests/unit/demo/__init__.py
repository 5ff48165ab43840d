# SPDX-License-Identifier: Apache-2.0
"""Simulated hosts: the model, and the files made from it."""
