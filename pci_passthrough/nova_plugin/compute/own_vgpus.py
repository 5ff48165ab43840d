# SPDX-License-Identifier: Apache-2.0
"""Tells which GPUs Nova itself makes mediated devices of.

Nova counts all mediated devices of such a GPU as its own, and gives any that
no guest has to an instance with ``resources:VGPU``. So none of them may be for
PCI flavors, nor the GPU itself.
"""

from collections.abc import Mapping
import os

from oslo_config import cfg

from pci_passthrough import objects
from pci_passthrough.nova_plugin.compute import matched_twice

#: The option of nova.conf; it is for mediated devices of all kinds.
OPTION = '[devices] enabled_mdev_types'


class OwnVgpus:
    """``[devices] enabled_mdev_types`` of a nova-compute.

    As ``LibvirtDriver._get_supported_vgpu_types`` reads it: the first type
    without ``device_addresses`` is for each GPU that supports it and has no
    type of its own.

    :param conf: Nova's configuration.
    :param root: directory with the host's ``sys``.
    """

    def __init__(self, conf: cfg.ConfigOpts, root: str = '/') -> None:
        self._root = root
        self._types: dict[str, str] = {}
        self._default: str | None = None
        for mdev_type in conf.devices.enabled_mdev_types or ():
            addresses = _addresses(conf, mdev_type)
            self._types |= dict.fromkeys(addresses, mdev_type)
            if not addresses and self._default is None:
                self._default = mdev_type

    def __bool__(self) -> bool:
        """Whether Nova makes mediated devices of any GPU."""
        return bool(self._types) or self._default is not None

    def matches(
        self, offered: Mapping[str, objects.PciDevice]
    ) -> list[matched_twice.NativeMatch]:
        """Return Nova's GPUs that are offered, or have an offered device.

        :param offered: address to device that pci_information offers.
        """
        if not self:
            return []
        related = {
            address
            for device in offered.values()
            for address in (device.address, device.parent_addr)
            if address is not None
        }
        return [
            matched_twice.NativeMatch(address, None, mdev_type, OPTION)
            for address in sorted(related)
            if (mdev_type := self._type_of(address)) is not None
        ]

    def _type_of(self, address: str) -> str | None:
        """Return the type of the mediated devices that Nova makes of a GPU."""
        if address in self._types:
            return self._types[address]
        if self._default is None:
            return None
        supported = os.path.join(
            *(self._root, 'sys/bus/pci/devices', address),
            *('mdev_supported_types', self._default),
        )
        return self._default if os.path.exists(supported) else None


def _addresses(conf: cfg.ConfigOpts, mdev_type: str) -> list[str]:
    try:
        return list(conf[f'mdev_{mdev_type}'].device_addresses)
    except (cfg.NoSuchOptError, cfg.NoSuchGroupError):
        # Nova's libvirt driver registers the options when it is made.
        return []
