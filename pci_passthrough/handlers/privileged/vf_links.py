# SPDX-License-Identifier: Apache-2.0
"""Sets what a physical function's driver does with a virtual function."""

from typing import Any

import pyroute2

from pci_passthrough.handlers import interface
from pci_passthrough.handlers import privileged

#: The MAC address that lets the driver of the VF choose one, for drivers of
#: Intel and Mellanox.
NO_MAC = '00:00:00:00:00:00'


@privileged.links.entrypoint
def set_policy(
    address: str,
    index: int,
    trust: bool | None,
    spoofchk: bool | None,
    vlan: int | None,
    forget_mac: bool,
) -> None:
    """Set the policy of one virtual function by rtnetlink.

    :param address: of the physical function.
    :param index: of the virtual function; None of the others leaves its
        setting as it is.
    :param vlan: 0 for none.
    :param forget_mac: whether to remove a MAC address that was set.
    :raises HandlerError: the function has not one network interface, or its
        driver refuses a setting.
    """
    interfaces = privileged.function(address).interfaces()
    if len(interfaces) != 1:
        raise interface.HandlerError(
            f'{address} has {len(interfaces)} network interfaces, not one: '
            f'{", ".join(interfaces) or "none"}'
        )
    [(name, number)] = interfaces.items()
    for setting in settings(index, trust, spoofchk, vlan, forget_mac):
        try:
            with pyroute2.IPRoute() as route:
                route.link('set', index=number, vf=setting)
        except pyroute2.NetlinkError as error:
            raise interface.HandlerError(
                f'the driver of {name} refuses {setting}: {error}'
            ) from error


def settings(
    index: int,
    trust: bool | None,
    spoofchk: bool | None,
    vlan: int | None,
    forget_mac: bool,
) -> list[dict[str, Any]]:
    """Return the settings in pyroute2's form, one for each request.

    One request each, so that an error names the setting. Trust is taken away
    last: some drivers let only a trusted function lose its address.
    """
    wanted: list[dict[str, Any]] = []
    if forget_mac:
        wanted.append({'mac': NO_MAC})
    if vlan is not None:
        wanted.append({'vlan': int(vlan)})
    if spoofchk is not None:
        wanted.append({'spoofchk': int(spoofchk)})
    if trust is not None:
        wanted.append({'trust': int(trust)})
    return [{'vf': int(index), **setting} for setting in wanted]
