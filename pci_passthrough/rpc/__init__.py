# SPDX-License-Identifier: Apache-2.0
"""Remote calls from agents, Nova and the REST API to the conductors."""

from pci_passthrough.rpc.conductor import ConductorClient
from pci_passthrough.rpc.messaging import check_transport
from pci_passthrough.rpc.messaging import conductor_server
from pci_passthrough.rpc.messaging import get_transport

__all__ = [
    'ConductorClient',
    'check_transport',
    'conductor_server',
    'get_transport',
]
