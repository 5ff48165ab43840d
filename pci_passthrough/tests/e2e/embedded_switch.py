# SPDX-License-Identifier: Apache-2.0
"""What a NIC knows of its virtual functions, in files.

The kernel tells and takes it over netlink, of which a simulated host's NICs
have nothing. There is one file for each virtual function that somebody has
set up, ``INTERFACE-INDEX`` after its physical function, with its MAC address
and its VLAN (0: none). libvirtd (``virtual_functions.c``) and, for macvtap,
nova-compute (``ip.sh``) write it; Neutron's agent (``nic_agent.py``) and the
tests read it.
"""

import contextlib
import pathlib
from typing import Final
from typing import NamedTuple

#: Where the files are in a simulated host.
FOLDER: Final = pathlib.Path('/run/virtual-functions')

#: The kernel's view of the host's network, and of what is stacked there.
SYSFS: Final = pathlib.Path('/run/network-sysfs')


class Setting(NamedTuple):
    """How a virtual function is set up; a VLAN of 0 is none."""

    mac: str
    vlan: int


def read(folder: pathlib.Path = FOLDER) -> dict[tuple[str, int], Setting]:
    """Return the settings by physical function's interface and index."""
    settings = {}
    for file in folder.iterdir():
        interface, _, index = file.name.rpartition('-')
        # A draft has another name.
        if not index.isdigit():
            continue
        # It may have been given back in the meantime.
        with contextlib.suppress(FileNotFoundError):
            mac, vlan = file.read_text().split()
            settings[interface, int(index)] = Setting(mac, int(vlan))
    return settings
