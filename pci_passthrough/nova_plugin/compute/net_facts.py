# SPDX-License-Identifier: Apache-2.0
"""What a port binding has to know of its device, in Nova's row for it.

Nova finds it out when nova-compute starts. A row of ours begins with a claim,
so the host is asked then, by the same functions of Nova: a physical function
may have got another MAC address, or other virtual functions, since.
"""

from oslo_log import log as logging
from oslo_serialization import jsonutils

from pci_passthrough import matching
from pci_passthrough import objects
from pci_passthrough.nova_plugin.compat import sysfs
from pci_passthrough.objects import fields

LOG = logging.getLogger(__name__)


def extra_info(device: objects.PciDevice) -> dict[str, str]:
    """Return what a row's ``extra_info`` says of a network device.

    The keys are those of ``nova.objects.pci_device.PciDevice``:
    ``mac_address`` of a physical function; ``capabilities``, as JSON, of a
    virtual function: its offload features, its number, and the MAC address
    of its physical function.

    :returns: nothing for other devices.
    """
    if not matching.is_network_class(device.pci_class):
        return {}
    if device.dev_type == fields.DevType.SRIOV_PF:
        mac = _mac_of(device.address) or device.mac_address
        return {'mac_address': mac} if mac else {}
    if device.dev_type != fields.DevType.SRIOV_VF:
        return {}
    known = {'network': device.capabilities, 'sriov': _sriov(device)}
    return {
        'capabilities': jsonutils.dumps({k: v for k, v in known.items() if v})
    }


def _sriov(device: objects.PciDevice) -> dict[str, str | int]:
    """Return the physical function's MAC address and the number, or nothing.

    One is of no use without the other.
    """
    mac = _mac_of(str(device.parent_addr))
    try:
        number = sysfs.vf_number_of(device.address)
    except sysfs.PciDeviceNotFoundById:
        LOG.warning('%s has no number among its VFs', device.address)
        return {}
    return {'pf_mac_address': mac, 'vf_num': number} if mac else {}


def _mac_of(address: str) -> str | None:
    try:
        return sysfs.mac_of(address)
    except sysfs.PciDeviceNotFoundById:
        # Its driver is not bound, or makes no interface.
        return None
