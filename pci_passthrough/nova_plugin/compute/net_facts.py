# SPDX-License-Identifier: Apache-2.0
"""Facts of network devices that Nova's port binding reads from their rows.

Nova reads them from the host when nova-compute starts. An attachment begins
with a claim, so its facts are read then, with the same functions of Nova: a
physical function may have another MAC address or other virtual functions than
when nova-compute started.
"""

from oslo_log import log as logging
from oslo_serialization import jsonutils

from pci_passthrough import matching
from pci_passthrough import objects
from pci_passthrough.nova_plugin.compat import sysfs
from pci_passthrough.objects import fields

LOG = logging.getLogger(__name__)


def extra_info(device: objects.PciDevice) -> dict[str, str]:
    """Return a network device's part of ``PciDevice.extra_info``.

    The keys are those of ``nova.objects.pci_device.PciDevice``:
    ``mac_address`` of a physical function; ``capabilities``, as JSON, of a
    virtual function: its offload features, its number, and the MAC address
    of its physical function.

    :returns: an empty dictionary for other devices.
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
        'capabilities': jsonutils.dumps(
            {key: value for key, value in known.items() if value}
        )
    }


def _sriov(device: objects.PciDevice) -> dict[str, str | int]:
    """Return a virtual function's number and its PF's MAC address.

    :returns: both or nothing; Nova needs both.
    """
    mac = _mac_of(str(device.parent_addr))
    try:
        number = sysfs.vf_number_of(device.address)
    except sysfs.PciDeviceNotFoundById:
        LOG.warning(
            'Cannot find the number of virtual function %s at its physical '
            'function; the port binding will lack it',
            device.address,
        )
        return {}
    return {'pf_mac_address': mac, 'vf_num': number} if mac else {}


def _mac_of(address: str) -> str | None:
    try:
        return sysfs.mac_of(address)
    except sysfs.PciDeviceNotFoundById:
        # Its driver is not bound, or makes no interface.
        return None
