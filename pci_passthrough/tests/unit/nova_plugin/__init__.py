# SPDX-License-Identifier: Apache-2.0
"""What of the door runs without Nova."""
