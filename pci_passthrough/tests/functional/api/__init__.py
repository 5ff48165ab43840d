# SPDX-License-Identifier: Apache-2.0
"""The REST service over HTTP, with a conductor in the same process."""

# Chooses oslo.service's backend, before anything else imports it.
import pci_passthrough.cmd  # noqa: F401
