# SPDX-License-Identifier: Apache-2.0
"""The files that Horizon reads: one for each panel."""
