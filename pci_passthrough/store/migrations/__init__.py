# SPDX-License-Identifier: Apache-2.0
"""Alembic's environment. Downgrades are not offered: restore a backup."""
