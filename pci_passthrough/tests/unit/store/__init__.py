# SPDX-License-Identifier: Apache-2.0
"""What the database allows, without a database."""
