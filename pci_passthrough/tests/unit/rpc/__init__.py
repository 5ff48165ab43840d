# SPDX-License-Identifier: Apache-2.0
"""Remote calls, without a broker."""

# Before anything else imports oslo.service.
from pci_passthrough import threading_backend  # noqa: F401
