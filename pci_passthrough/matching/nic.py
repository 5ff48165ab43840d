# SPDX-License-Identifier: Apache-2.0
"""Which devices can serve a NIC. Pure: pool keys and a NIC in, yes or no out.

``unmet_by`` says what keeps them from it.

Nova and Neutron decide the same by the same facts: what the NIC's vnic_type
needs (``nova.network.neutron``), and on which physical network the device is
(the tag ``physical_network`` of Nova's ``[pci] device_spec``).
"""

from collections.abc import Iterator
from collections.abc import Mapping
import json
from typing import Final

from pci_passthrough import objects
from pci_passthrough.matching.near_misses import Miss
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


def is_network_class(pci_class: str) -> bool:
    """Whether devices of a class are network controllers.

    :param pci_class: six hexadecimal digits.
    """
    return pci_class.startswith(_NETWORK_CLASS)


def fits(key: objects.PoolKey, nic: objects.RequestedNic) -> bool:
    """Whether the devices of a pool can serve a NIC.

    :param nic: with its ``vnic_type`` settled, never None.
    """
    return next(unmet_by(key, nic), None) is None


def unmet_by(
    key: objects.PoolKey, nic: objects.RequestedNic
) -> Iterator[Miss]:
    """Yield the conditions of a NIC that the devices of a pool do not fulfil.

    As if they were a term of a match expression; that devices have to be on
    no physical network is ``null``. Physical networks are compared exactly,
    as Neutron does. A device on none is for overlay networks, and for these
    only.

    :param nic: with its ``vnic_type`` settled, never None.
    """
    if not is_network_class(key.pci_class):
        yield _miss('class', 'network', key.pci_class)
    dev_type = _DEV_TYPES[str(nic.vnic_type)]
    if key.dev_type != dev_type:
        yield _miss('dev_type', dev_type, key.dev_type)
    network = dict(key.extra_info).get(PHYSICAL_NETWORK)
    wanted = nic.physical_networks
    if not (network in wanted if wanted else network is None):
        yield _miss(f'e.{PHYSICAL_NETWORK}', wanted or None, network)


def _miss(key: str, wanted: str | list[str] | None, found: str | None) -> Miss:
    # Beside two other conditions, if it is the only one.
    return Miss(key, json.dumps(wanted), found, 2)
