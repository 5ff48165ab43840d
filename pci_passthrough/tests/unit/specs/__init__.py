# SPDX-License-Identifier: Apache-2.0
"""Right and wrong input of the specs, in tables, and fuzzing."""
