# SPDX-License-Identifier: Apache-2.0
"""Neutron's SR-IOV agent, on NICs that answer no netlink.

All of it is real but for the layer that asks the kernel about virtual
functions; see :mod:`pci_passthrough.tests.e2e.embedded_switch`. Which NICs
and virtual functions there are, and which a guest has, it reads in ``/sys``.
"""

# mypy: disable-error-code="import-not-found"
# Where the linters run, there is no Neutron.

from collections.abc import Iterable
from collections.abc import Mapping
import os

from neutron.cmd.plugins import sriov_nic_neutron_agent
from neutron.plugins.ml2.drivers.mech_sriov.agent import eswitch_manager
from neutron.plugins.ml2.drivers.mech_sriov.agent import pci_lib

from pci_passthrough.tests.e2e import embedded_switch


class RealLink:
    """An interface of the host's network.

    It and its ``link`` are what Neutron calls a device.
    """

    def __init__(self, name: str) -> None:
        self._folder = embedded_switch.SYSFS / 'class/net' / name

    @property
    def link(self) -> 'RealLink':
        """The link of the device."""
        return self

    @property
    def address(self) -> str:
        """The MAC address."""
        return (self._folder / 'address').read_text().strip()

    def macvtaps(self) -> list[str]:
        """The names of the macvtap interfaces upon it."""
        prefix = 'upper_'
        return [
            upper.name.removeprefix(prefix)
            for upper in self._folder.glob(f'{prefix}macvtap*')
        ]


def _macvtaps_of(interface: str, index: int) -> list[str]:
    # In the made-up /sys nothing is stacked upon anything.
    folder = eswitch_manager.PciOsWrapper.PCI_PATH % (interface, index)
    return [
        upper
        for name in os.listdir(folder)
        for upper in RealLink(name).macvtaps()
    ]


class RecordedFunctions:
    """Stands in for Neutron's ``PciDeviceIPWrapper``.

    :param dev_name: the interface of a physical function, or a macvtap one.
    """

    def __init__(self, dev_name: str) -> None:
        self.dev_name = dev_name

    def device(self, name: str) -> RealLink:
        """Return an interface."""
        return RealLink(name)

    def get_assigned_macs(self, vf_list: Iterable[int]) -> dict[int, str]:
        """Return the MAC addresses of those that have one."""
        settings = embedded_switch.read()
        return {
            index: settings[self.dev_name, index].mac
            for index in vf_list
            if (self.dev_name, index) in settings
        }

    def get_vf_state(self, vf_index: int) -> str:
        """Return that the link is up."""
        return str(pci_lib.LinkState.enable.name)

    def set_vf_state(
        self, vf_index: int, state: bool, auto: bool = False
    ) -> None:
        """Turn the link on or off, which nobody sees."""

    def set_vf_spoofcheck(self, vf_index: int, enabled: bool) -> None:
        """Turn the check of senders on or off, which nobody sees."""

    def set_vf_rate(self, vf_index: int, rates: Mapping[str, int]) -> None:
        """Limit the bandwidth, which nobody has."""


if __name__ == '__main__':
    pci_lib.PciDeviceIPWrapper = RecordedFunctions
    eswitch_manager.PciOsWrapper.get_vf_macvtap_upper_devs = _macvtaps_of
    sriov_nic_neutron_agent.main()
