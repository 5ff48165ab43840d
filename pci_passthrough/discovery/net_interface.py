# SPDX-License-Identifier: Apache-2.0
"""Parses the network interfaces in libvirt's node-device XML. Pure."""

from collections.abc import Iterable
import dataclasses
from xml.etree import ElementTree

#: ``-1`` (unknown), which libvirt prints as an unsigned number.
_UNKNOWN_SPEED = 0xFFFFFFFF


@dataclasses.dataclass(frozen=True, slots=True)
class NetInterface:
    """A network interface that is a child of a PCI function."""

    devname: str
    mac_address: str | None
    link_speed: int | None
    features: tuple[str, ...]


def parse(capability: ElementTree.Element) -> NetInterface | None:
    """Return the interface of a ``net`` capability, None without a name."""
    devname = capability.findtext('interface')
    if not devname:
        return None
    mac_address = capability.findtext('address')
    return NetInterface(
        devname=devname,
        mac_address=mac_address.lower() if mac_address else None,
        link_speed=_link_speed(capability.find('link')),
        features=tuple(
            sorted(
                feature
                for element in capability.iterfind('feature')
                if (feature := element.get('name'))
            )
        ),
    )


def named(
    interfaces: Iterable[NetInterface], devname: str | None
) -> NetInterface | None:
    """Return the interface of a name, None if there is none."""
    for interface in interfaces:
        if interface.devname == devname:
            return interface
    return None


def main(interfaces: Iterable[NetInterface]) -> NetInterface | None:
    """Return the interface of the function itself, if libvirt shows which.

    In switchdev mode a PF is also the parent of its representors and
    subfunctions, see ``uplink``. libvirt does not show ``phys_port_name``. But
    drivers give representors random addresses (``eth_hw_addr_random``), which
    are locally administered (IEEE 802-2014, 8.4), and libvirt shows no
    offloads of representors. Among several interfaces the only one with a
    universally administered address counts, otherwise the only one with
    features.

    :returns: None without interfaces, and if libvirt does not show it.
    """
    candidates = list(interfaces)
    for is_likely in (_has_universal_address, _has_features):
        if len(candidates) > 1:
            candidates = list(filter(is_likely, candidates)) or candidates
    return candidates[0] if len(candidates) == 1 else None


def _has_universal_address(interface: NetInterface) -> bool:
    """Return whether a manufacturer has assigned the MAC address."""
    first = (interface.mac_address or 'ff').partition(':')[0]
    return not int(first, 16) & 2


def _has_features(interface: NetInterface) -> bool:
    return bool(interface.features)


def _link_speed(link: ElementTree.Element | None) -> int | None:
    """Return a link's speed in Mbit/s, None if it is down or unknown."""
    if link is None or link.get('state') != 'up':
        return None
    speed = link.get('speed', '')
    if not speed.isdecimal() or not 0 < int(speed) < _UNKNOWN_SPEED:
        return None
    return int(speed)
