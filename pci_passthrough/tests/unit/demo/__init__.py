# SPDX-License-Identifier: Apache-2.0
"""Made-up hosts: the model, and what is rendered from it."""
