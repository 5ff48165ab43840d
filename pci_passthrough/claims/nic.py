# SPDX-License-Identifier: Apache-2.0
"""Which devices can serve a NIC. Pure: pool keys and a NIC in, yes or no out.

Nova and Neutron decide the same by the same facts: what the NIC's vnic_type
needs (``nova.network.neutron``), and on which physical network the device is
(the tag ``physical_network`` of Nova's ``[pci] device_spec``).
"""

from collections.abc import Mapping
from typing import Final

from pci_passthrough import objects
from pci_passthrough.objects import fields

#: The tag that says on which physical network a device is.
PHYSICAL_NETWORK: Final = 'physical_network'

#: Base class of network controllers, the first byte of the class code.
_NETWORK_CLASS: Final = '02'

#: What a device has to be for each vnic_type, one of ``DevType``.
_DEV_TYPES: Final[Mapping[str, str]] = {
    fields.VnicType.DIRECT: fields.DevType.SRIOV_VF,
    fields.VnicType.MACVTAP: fields.DevType.SRIOV_VF,
    fields.VnicType.DIRECT_PHYSICAL: fields.DevType.SRIOV_PF,
    fields.VnicType.VDPA: fields.DevType.VDPA,
}


def is_network_device(key: objects.PoolKey) -> bool:
    """Whether the devices of a pool are network controllers."""
    return key.pci_class.startswith(_NETWORK_CLASS)


def fits(key: objects.PoolKey, nic: objects.RequestedNic) -> bool:
    """Whether the devices of a pool can serve a NIC.

    Physical networks are compared exactly, as Neutron does. A device on none
    is for overlay networks, and for these only.

    :param nic: with its ``vnic_type`` settled, never None.
    """
    return (
        is_network_device(key)
        and key.dev_type == _DEV_TYPES[str(nic.vnic_type)]
        and _is_on_network(key, nic.physical_networks)
    )


def _is_on_network(key: objects.PoolKey, wanted: list[str]) -> bool:
    found = dict(key.extra_info).get(PHYSICAL_NETWORK)
    return found in wanted if wanted else found is None
