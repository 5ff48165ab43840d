# SPDX-License-Identifier: Apache-2.0
"""Decides which network interface is that of a PCI function itself. Pure.

In switchdev mode a PF is also the parent of the representors of its VFs and
subfunctions, and of the interfaces of the subfunctions. All ports of its
switch have the same ``phys_switch_id``; ``phys_port_name`` tells them apart
(``__devlink_port_phys_port_name_get`` in the kernel's net/devlink/port.c):
``p<N>`` or ``p<N>s<M>`` is the uplink, ``pf<N>``, ``pf<N>vf<M>`` and
``pf<N>sf<M>`` are representors, after ``c<N>`` those of another host. Names of
interfaces say nothing: since Linux 5.8 representors can be ``eth0``.
"""

from collections.abc import Iterable
from collections.abc import Mapping
import re

from pci_passthrough.discovery import host_facts

_UPLINK = re.compile(r'p(?P<port>\d+)(s(?P<part>\d+))?', re.ASCII)
_REPRESENTOR = re.compile(r'(c\d+)?pf\d+((vf|sf)\d+)?', re.ASCII)


def main_interfaces(
    interfaces: Mapping[str, host_facts.Interface],
) -> dict[str, str | None]:
    """Return the interface of each function that has one, by address.

    :returns: None for a function that has only representors.
    """
    by_function: dict[str, list[host_facts.Interface]] = {}
    for interface in interfaces.values():
        if interface.functions:
            function = interface.functions[-1]
            by_function.setdefault(function, []).append(interface)
    return {
        function: _main_interface(candidates)
        for function, candidates in by_function.items()
    }


def _main_interface(interfaces: Iterable[host_facts.Interface]) -> str | None:
    main = min(
        (item for item in interfaces if not _is_representor(item)),
        key=_rank,
        default=None,
    )
    return None if main is None else main.name


def _is_representor(interface: host_facts.Interface) -> bool:
    return _REPRESENTOR.fullmatch(interface.port_name or '') is not None


def _rank(interface: host_facts.Interface) -> tuple[int, int, int, int, str]:
    """Return the sort key by which the main interface is the first.

    The uplinks come first, by port; then the interfaces that are no port of a
    switch, and then those with a port name of an older driver. An interface
    directly below the function precedes one of a subfunction, and among equal
    ones the older interface precedes: representors are created after the
    uplink.
    """
    uplink = _UPLINK.fullmatch(interface.port_name or '')
    if uplink is not None:
        kind, port = 0, int(uplink['port']) * 1000 + int(uplink['part'] or 0)
    else:
        kind, port = 1 if interface.switch_id is None else 2, 0
    return (
        kind,
        port,
        0 if interface.is_direct else 1,
        interface.index,
        interface.name,
    )
