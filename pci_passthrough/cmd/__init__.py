# SPDX-License-Identifier: Apache-2.0
"""The programs. Each ``main`` reads the configuration and passes it on."""

# Before anything else imports oslo.service.
from pci_passthrough import threading_backend  # noqa: F401
