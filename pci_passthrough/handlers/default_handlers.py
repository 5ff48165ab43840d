# SPDX-License-Identifier: Apache-2.0
"""Chooses handlers for devices whose entry of pci_information names none.

=======================================  =================
PCI class                                handler
=======================================  =================
display controllers (03)                 ``reset``
co-processors (0b40)                     ``reset``
encryption controllers (10)              ``reset``
processing accelerators (12)             ``reset``
NVMe controllers with I/O (010802)       ``nvme-sanitize``
=======================================  =================

No other functions have one. vfio-pci resets a NIC's function when a guest
leaves it; what its physical function keeps for a virtual one (trust, VLAN, MAC
address) no reset clears, and how many virtual functions a card shall have is
only known to the operator. A reset below a network driver that is used on the
host, as for a macvtap port, would break the interface. A vGPU's and a vdpa
device's function belongs to the driver of its card, and a virtual function of
an NVMe controller has no sanitize operation of its own. To overwrite other
disks takes hours.

What is no PCI function has those of its resource type, which may have to make
it first: ``resource_types``.

The codes are those of the PCI Code and ID Assignment Specification.
"""

from collections.abc import Collection
from collections.abc import Mapping

from pci_passthrough import resource_types
from pci_passthrough.handlers import registry as registry_module
from pci_passthrough.objects import device as device_obj
from pci_passthrough.specs import pci_information

_RESET, _SANITIZE = 'reset', 'nvme-sanitize'

_BY_CLASS = {
    '03': _RESET,
    '0b40': _RESET,
    '10': _RESET,
    '12': _RESET,
    '010802': _SANITIZE,
}

#: The contexts of ``privileged`` that a handler needs.
CONTEXTS = {
    _RESET: ('files',),
    _SANITIZE: ('files', 'nvme'),
    'mdev': ('files',),
}


def name_for(device: device_obj.PciDevice) -> str | None:
    """Return the default handler of a device's class, None for none. Pure."""
    if device.dev_type in (None, 'vdpa') or device.vgpu_type is not None:
        return None
    for prefix, name in _BY_CLASS.items():
        if (device.pci_class or '').startswith(prefix):
            is_shared = name == _SANITIZE and device.parent_addr is not None
            return None if is_shared else name
    return None


class DefaultHandlers:
    """The default handlers that one host can run.

    :param registry: the handlers of the host.
    :param contexts: the contexts of ``privileged`` that the agent can start;
        None if the operator wants no defaults.
    :param types: the resource types besides PCI functions.
    """

    def __init__(
        self,
        registry: registry_module.Registry,
        contexts: Collection[str] | None,
        types: Mapping[str, resource_types.ResourceType],
    ) -> None:
        self._registry = registry
        self._types = types
        self._contexts = contexts

    def handlers_of(
        self, device: device_obj.PciDevice, entry: pci_information.Entry
    ) -> tuple[str, ...]:
        """Return the handlers of a device: its entry's, or the default."""
        if entry.handlers is not None:
            return entry.handlers
        names = self._wanted(device, entry)
        if entry.resource_type in self._types:
            # Without its handlers, such a device may not even exist.
            return names
        return tuple(n for n in names if self._obstacle(n, device) is None)

    def obstacle(
        self, device: device_obj.PciDevice, entry: pci_information.Entry
    ) -> str | None:
        """Return why a device does not get the default of its class.

        None means that it gets it, or that there is none for it.
        """
        for name in self._wanted(device, entry):
            reason = self._obstacle(name, device)
            if reason is not None:
                return f'no {name}: {reason}'
        return None

    def _wanted(
        self, device: device_obj.PciDevice, entry: pci_information.Entry
    ) -> tuple[str, ...]:
        if entry.handlers is not None or self._contexts is None:
            return ()
        resource_type = self._types.get(entry.resource_type)
        if resource_type is not None:
            return resource_type.default_handlers
        name = name_for(device)
        return () if name is None else (name,)

    def _obstacle(self, name: str, device: device_obj.PciDevice) -> str | None:
        for context in CONTEXTS.get(name, ()):
            if context not in (self._contexts or ()):
                return (
                    'the agent is not root, and there is no '
                    f'[privileged_{context}] helper_command'
                )
        return self._registry.obstacle(name, device)
