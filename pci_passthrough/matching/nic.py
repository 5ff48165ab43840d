# SPDX-License-Identifier: Apache-2.0
"""Decides whether the devices of a pool can serve a NIC. Pure.

The rules are those of Nova and Neutron: the type of device for each
vnic_type (``nova.network.neutron``), and the device's physical network (the
tag ``physical_network`` of Nova's ``[pci] device_spec``).
"""

from collections.abc import Iterator
from collections.abc import Mapping
import json
from typing import Final

from pci_passthrough import objects
from pci_passthrough.matching.near_misses import Miss
from pci_passthrough.objects import fields

#: The tag with the name of a device's physical network.
PHYSICAL_NETWORK: Final = 'physical_network'

#: Base class of network controllers, the first byte of the class code.
_NETWORK_CLASS: Final = '02'

#: vnic_type to the required ``DevType``.
_DEV_TYPES: Final[Mapping[str, str]] = {
    fields.VnicType.DIRECT: fields.DevType.SRIOV_VF,
    fields.VnicType.MACVTAP: fields.DevType.SRIOV_VF,
    fields.VnicType.DIRECT_PHYSICAL: fields.DevType.SRIOV_PF,
    fields.VnicType.VDPA: fields.DevType.VDPA,
}


def is_network_class(pci_class: str | None) -> bool:
    """Return whether a class code is that of network controllers.

    :param pci_class: six hexadecimal digits; None for what has no class.
    """
    return pci_class is not None and pci_class.startswith(_NETWORK_CLASS)


def serves_nic(key: objects.PoolKey, nic: objects.RequestedNic) -> bool:
    """Return whether the devices of a pool can serve a NIC."""
    return next(unmet_nic_conditions(key, nic), None) is None


def unmet_nic_conditions(
    key: objects.PoolKey, nic: objects.RequestedNic
) -> Iterator[Miss]:
    """Yield the conditions of a NIC that a pool's devices do not fulfil.

    The conditions have the form of a match expression's term. Physical
    networks are compared exactly, as in Neutron. A NIC without physical
    networks is on an overlay network and needs a device without a physical
    network; this condition is written ``null``. No device can serve a NIC
    whose vnic_type is None.
    """
    if not is_network_class(key.pci_class):
        yield _miss('class', 'network', key.pci_class)
    dev_type = _DEV_TYPES.get(str(nic.vnic_type))
    if dev_type is None or key.dev_type != dev_type:
        yield _miss('dev_type', dev_type, key.dev_type)
    network = dict(key.extra_info).get(PHYSICAL_NETWORK)
    wanted = nic.physical_networks
    if not (network in wanted if wanted else network is None):
        yield _miss(f'e.{PHYSICAL_NETWORK}', wanted or None, network)


def _miss(
    key: str, wanted: str | list[str] | None, actual: str | None
) -> Miss:
    # A NIC has three conditions, so a near miss fulfils two others.
    return Miss(key, json.dumps(wanted), actual, 2)
