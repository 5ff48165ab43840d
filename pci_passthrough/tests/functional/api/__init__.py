# SPDX-License-Identifier: Apache-2.0
"""The REST service over HTTP, with a conductor in the same process."""

# Before anything else imports oslo.service.
from pci_passthrough import threading_backend  # noqa: F401
