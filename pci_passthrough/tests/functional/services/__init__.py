# SPDX-License-Identifier: Apache-2.0
"""The programs, on real servers and a real libvirt."""

# Before anything else imports oslo.service.
from pci_passthrough import threading_backend  # noqa: F401
