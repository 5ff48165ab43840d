# SPDX-License-Identifier: Apache-2.0
"""What the clients do without a service."""
