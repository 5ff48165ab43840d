# SPDX-License-Identifier: Apache-2.0
"""The services, without servers."""

# Before anything else imports oslo.service.
from pci_passthrough import threading_backend  # noqa: F401
