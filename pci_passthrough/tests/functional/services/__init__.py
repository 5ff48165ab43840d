# SPDX-License-Identifier: Apache-2.0
"""The programs, on real servers and a real libvirt."""

# Chooses oslo.service's backend, before anything else imports it.
import pci_passthrough.cmd  # noqa: F401
