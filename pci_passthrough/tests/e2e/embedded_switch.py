# SPDX-License-Identifier: Apache-2.0
"""The settings of virtual functions in NICs, in files.

A real kernel reads and writes them by netlink, which the simulated NICs do
not support. There is one file for each configured virtual function,
``INTERFACE-INDEX`` with the physical function's interface, which contains the
MAC address and the VLAN (0 means no VLAN). libvirtd (``virtual_functions.c``)
and, for macvtap, nova-compute (``ip.sh``) write the files; Neutron's agent
(``nic_agent.py``) and the tests read them.
"""

import contextlib
import pathlib
from typing import Final
from typing import NamedTuple

#: The folder of the files in a simulated host.
FOLDER: Final = pathlib.Path('/run/virtual-functions')

#: sysfs of the host's network namespace, with stacked interfaces.
SYSFS: Final = pathlib.Path('/run/network-sysfs')


class Setting(NamedTuple):
    """The settings of a virtual function; VLAN 0 means no VLAN."""

    mac: str
    vlan: int


def read(folder: pathlib.Path = FOLDER) -> dict[tuple[str, int], Setting]:
    """Return the settings by physical function's interface and index."""
    settings = {}
    for file in folder.iterdir():
        interface, _, index = file.name.rpartition('-')
        # A file that is being written has another name.
        if not index.isdigit():
            continue
        # The virtual function may have been released meanwhile.
        with contextlib.suppress(FileNotFoundError):
            mac, vlan = file.read_text().split()
            settings[interface, int(index)] = Setting(mac, int(vlan))
    return settings
