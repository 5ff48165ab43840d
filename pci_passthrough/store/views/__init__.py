# SPDX-License-Identifier: Apache-2.0
"""Answers that combine several tables, for people, metrics and Nova."""
