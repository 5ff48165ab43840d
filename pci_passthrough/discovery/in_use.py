# SPDX-License-Identifier: Apache-2.0
"""Decides which PCI functions the host itself uses. Pure.

A guest that gets such a function takes the host's disk or network away.
Therefore a function counts as used if a fact about it could not be read. An
unreadable interface or disk is a fact about the functions in its sysfs path,
an unreadable mount table about all storage controllers, and so on. These uses
are detected:

* storage: mounted file systems, active swap, and disks or partitions with a
  label (``ID_FS_TYPE`` of libblkid: a file system, encryption, swap, or a
  member of LVM, RAID, ZFS …), also if nothing is mounted now, through
  device-mapper and NVMe multipath down to the controllers. A label on a disk
  that a guest has had can be the guest's and does not count, except of
  members that are used without a mount (ZFS, Ceph, bcache, DRBD). These do
  not count either if a handler erases the device before the next owner gets
  it;
* network: interfaces with an address, a route of any table or a next-hop
  object, ports of a bridge, bond, team, VRF or Open vSwitch, and the
  interfaces below all of these. Link-local addresses, and routes that reject
  packets or stay on the link, do not count;
* storage over the network: the interfaces of the route to the server of an
  NFS or SMB mount, an iSCSI connection or an NVMe controller (TCP, RDMA), even
  with link-local addresses. If no route leads to the server, every network
  card counts as used. NVMe over Fibre Channel: every Fibre Channel card;
* a physical function with a used virtual function, because the virtual
  function disappears with its physical function. The virtual functions of a
  used physical function can be offered;
* the boot VGA device while it shows a framebuffer console. Another GPU with
  a framebuffer is not used.

* a USB device with such a disk or interface, as well as its controller.

Not detected: interfaces in another network namespace, user-space drivers
(DPDK, SPDK, Open vSwitch's userspace datapath, a raw block device that is a
guest's disk), and network storage that a program mounts by itself (FUSE, RBD,
a guest's disk on iSCSI through QEMU).
"""

from collections.abc import Container
from collections.abc import Iterator

from pci_passthrough.discovery import host_facts
from pci_passthrough.discovery import network_use
from pci_passthrough.discovery import storage_use
from pci_passthrough.discovery import use

#: Prefix of the reasons that mean that the facts are incomplete.
USE_UNKNOWN = 'unknown whether the host uses it: '


def reasons_in_use(
    facts: host_facts.HostFacts,
    given_out: Container[str] = (),
    erased: Container[str] = (),
) -> dict[str, str]:
    """Return the reasons why the host uses functions, by address.

    :param given_out: addresses of functions that guests have had: a label on
        their disks can be a guest's.
    :param erased: addresses of functions whose handlers erase their disks.
    :returns: a reason for each function that is used, or that could be used
        because facts are missing. Functions of ``facts.functions`` without a
        reason are not used.
    """
    reasons: dict[str, str] = {}
    uses = [
        *storage_use.uses(facts),
        *network_use.uses(facts),
        *_console_uses(facts),
        *_unknown_uses(facts),
    ]
    # A known use is a better reason than a missing fact.
    uses.sort(key=lambda item: item.certainty is use.Certainty.UNKNOWN)
    for item in uses:
        reason = item.reason
        if item.certainty is use.Certainty.UNKNOWN:
            reason = USE_UNKNOWN + reason
        for address in item.functions:
            if address in given_out and (
                item.certainty is use.Certainty.LABELLED
                or (
                    item.certainty is use.Certainty.MEMBER
                    and address in erased
                )
            ):
                continue
            reasons.setdefault(address, reason)
    for address, reason in sorted(reasons.items()):
        function = facts.functions.get(address)
        if function is not None and function.physical_function is not None:
            reasons.setdefault(
                function.physical_function,
                _reason_of_physical_function(address, reason),
            )
    return reasons


def _reason_of_physical_function(address: str, reason: str) -> str:
    if reason.startswith(USE_UNKNOWN):
        detail = reason.removeprefix(USE_UNKNOWN)
        return f'{USE_UNKNOWN}its virtual function {address}: {detail}'
    return f'its virtual function {address} is in use: {reason}'


def _unknown_uses(facts: host_facts.HostFacts) -> Iterator[use.Use]:
    """Yield the functions behind each fact that could not be read."""
    for unreadable in facts.unreadable:
        functions = unreadable.functions
        if functions is None:
            functions = facts.of_subject(unreadable.subject)
        yield use.Use(functions, unreadable.error, use.Certainty.UNKNOWN)


def _console_uses(facts: host_facts.HostFacts) -> Iterator[use.Use]:
    for function in facts.functions.values():
        if function.boot_vga and any(
            not framebuffer or function.address in framebuffer
            for framebuffer in facts.framebuffers
        ):
            yield use.Use((function.address,), "it shows the host's console")
