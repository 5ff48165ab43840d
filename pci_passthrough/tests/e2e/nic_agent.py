# SPDX-License-Identifier: Apache-2.0
"""Neutron's SR-IOV NIC agent for NICs without netlink.

Only the layer that configures virtual functions by netlink is replaced, see
:mod:`pci_passthrough.tests.e2e.embedded_switch`. The agent reads in ``/sys``
which NICs and virtual functions exist, and which ones guests have.
"""

# mypy: disable-error-code="import-not-found"
# Neutron is not installed where the linters run.

from collections.abc import Iterable
from collections.abc import Mapping
import os

from neutron.cmd.plugins import sriov_nic_neutron_agent
from neutron.plugins.ml2.drivers.mech_sriov.agent import eswitch_manager
from neutron.plugins.ml2.drivers.mech_sriov.agent import pci_lib

from pci_passthrough.tests.e2e import embedded_switch


class RealLink:
    """An interface of the host's network namespace.

    It has the attributes of Neutron's IPDevice and its ``link``.
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
        """The names of the macvtap interfaces above this interface."""
        prefix = 'upper_'
        return [
            upper.name.removeprefix(prefix)
            for upper in self._folder.glob(f'{prefix}macvtap*')
        ]


def _macvtaps_of(interface: str, index: int) -> list[str]:
    # The simulated /sys has no stacked interfaces.
    folder = eswitch_manager.PciOsWrapper.PCI_PATH % (interface, index)
    return [
        upper
        for name in os.listdir(folder)
        for upper in RealLink(name).macvtaps()
    ]


class RecordedFunctions:
    """Replaces Neutron's ``PciDeviceIPWrapper``.

    :param dev_name: a physical function's or a macvtap interface.
    """

    def __init__(self, dev_name: str) -> None:
        self.dev_name = dev_name

    def device(self, name: str) -> RealLink:
        """Return an interface."""
        return RealLink(name)

    def get_assigned_macs(self, vf_list: Iterable[int]) -> dict[int, str]:
        """Return the MAC addresses of virtual functions by index."""
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
        """Do nothing; the simulated NIC has no link state."""

    def set_vf_spoofcheck(self, vf_index: int, enabled: bool) -> None:
        """Do nothing; the simulated NIC has no spoof check."""

    def set_vf_rate(self, vf_index: int, rates: Mapping[str, int]) -> None:
        """Do nothing; the simulated NIC has no traffic."""


if __name__ == '__main__':
    pci_lib.PciDeviceIPWrapper = RecordedFunctions
    eswitch_manager.PciOsWrapper.get_vf_macvtap_upper_devs = _macvtaps_of
    sriov_nic_neutron_agent.main()
