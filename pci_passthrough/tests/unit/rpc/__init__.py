# SPDX-License-Identifier: Apache-2.0
"""Remote calls, without a broker."""

# Chooses oslo.service's backend, before anything else imports it.
import pci_passthrough.cmd  # noqa: F401
