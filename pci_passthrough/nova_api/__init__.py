# SPDX-License-Identifier: Apache-2.0
"""What this project asks Nova's REST API: host aggregates and servers."""

from pci_passthrough.nova_api.aggregates import Aggregates
from pci_passthrough.nova_api.servers import Servers

__all__ = ['Aggregates', 'Servers']
