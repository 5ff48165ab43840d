# SPDX-License-Identifier: Apache-2.0
"""The migrations, in the order of their numbers."""
