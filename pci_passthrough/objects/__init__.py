# SPDX-License-Identifier: Apache-2.0
"""The nouns of the project: versioned, pure data. One file per noun."""

from pci_passthrough.objects import recordable
from pci_passthrough.objects.base import PciPassthroughObjectSerializer
from pci_passthrough.objects.claim import ClaimResult
from pci_passthrough.objects.device import PciDevice
from pci_passthrough.objects.device import PciDeviceEvent
from pci_passthrough.objects.identity import Identity
from pci_passthrough.objects.offer import SchedulingOffer
from pci_passthrough.objects.pci_flavor import PciFlavor
from pci_passthrough.objects.pool import PciDevicePool
from pci_passthrough.objects.pool import POOL_FIELDS
from pci_passthrough.objects.pool import PoolKey
from pci_passthrough.objects.preparation import Preparation
from pci_passthrough.objects.quota import QuotaAnswer
from pci_passthrough.objects.quota import QuotaExcess
from pci_passthrough.objects.refusal import SchedulingRefusal
from pci_passthrough.objects.report import HostReport
from pci_passthrough.objects.report import ReportAck
from pci_passthrough.objects.request import NumaAffinity
from pci_passthrough.objects.request import PciRequest
from pci_passthrough.objects.request import RefusalReason
from pci_passthrough.objects.request import RequestedNic
from pci_passthrough.objects.resolved_request import PciAlternative
from pci_passthrough.objects.resolved_request import ResolvedRequest
from pci_passthrough.objects.tracker import TrackerAck

__all__ = [
    'POOL_FIELDS',
    'ClaimResult',
    'HostReport',
    'Identity',
    'NumaAffinity',
    'PciAlternative',
    'PciDevice',
    'PciDeviceEvent',
    'PciDevicePool',
    'PciFlavor',
    'PciPassthroughObjectSerializer',
    'PciRequest',
    'PoolKey',
    'Preparation',
    'QuotaAnswer',
    'QuotaExcess',
    'RefusalReason',
    'ReportAck',
    'RequestedNic',
    'ResolvedRequest',
    'SchedulingOffer',
    'SchedulingRefusal',
    'TrackerAck',
    'recordable',
]
