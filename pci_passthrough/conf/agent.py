# SPDX-License-Identifier: Apache-2.0
"""``[agent]``: what a compute host offers, and how it looks for it."""

from oslo_config import cfg

_GROUP = 'agent'

_OPTS: list[cfg.Opt] = [
    cfg.MultiStrOpt(
        'pci_information',
        default=[],
        help="""
Which PCI devices may leave this host, and what only its installer knows
about them.

May be given many times; files in ``--config-dir`` add up. Each value is one
JSON document, and the first entry that matches a device decides. Without any
entry the host offers nothing. Forms::

    pci_information = {"match": {"vendor_id": "8086", "product_id": "1889"},
                       "extra_info": {"physical_network": "physnet1"}}
    pci_information = {"match": {"address": "0000:65:00.*"}, "exclude": true}
    pci_information = [{"vendor_id": "10de"}, {"e.group": "gpu"}]
    pci_information = {"vendor_id": "8086", "product_id": "1889",
                       "physical_network": "physnet1"}

(each on one line). The first is the plain one; the second keeps devices that
a later entry would match; the third and fourth are the forms of the original
blueprint and of Nova's ``[pci] device_spec``. A dollar sign is written ``$$``,
as everywhere in this file.

Keys of ``match``: ``vendor_id``, ``product_id``, ``subsystem_vendor_id``,
``subsystem_id``, ``class`` (``network``, ``display``, ``storage``, … or
hexadecimal digits), ``address``, ``dev_type``, ``driver``, ``numa_node``,
``parent_addr``, ``devname``. A value is a string, where ``*``, ``?`` and
``[0-9]`` work as in a shell, a list of them (any), or ``{"regex": "…"}``.

A device that the host itself uses (a mounted or swap file system, a RAID or
LVM member, an interface with an address or the default route) is refused
even if it matches, unless the entry says ``"allow_in_use": true``: a guest
that gets the root disk or the only network card ends the host.

A malformed entry keeps the agent from starting; what the host offered before
stays as it was, and the host is no longer offered once it has not reported
for ``[conductor] host_timeout``. At a reload (SIGHUP) it is logged, and the
agent goes on with what it had.
""",
    ),
    cfg.StrOpt(
        'connection_uri',
        default='qemu:///system',
        help="""
The libvirt to ask for node devices, as a connection URI.

It is the one that nova-compute uses. A read-only connection is opened. With
``test:///FILE``, libvirt's test driver, a host can be made up.
""",
    ),
    cfg.StrOpt(
        'host_root',
        help="""
The directory below which this host's ``sys``, ``proc`` and ``run`` are found.

Read for what libvirt does not tell: subsystem ids, and whether the host
itself uses a device. The default is ``/`` with a local ``qemu:///``,
``ch:///``, ``xen:///`` or ``lxc:///`` URI and nothing otherwise. In a
container, name the place where the host's root is mounted; with the
container's own ``/proc`` the agent could not see that a disk is mounted on
the host.

Without it no device can be checked for use by the host, and the agent does
not start for any libvirt but the test driver.
""",
    ),
    cfg.IntOpt(
        'report_interval',
        default=60,
        min=1,
        help="""
Seconds between two signs of life when nothing has changed.

Each costs the conductors one small message and one row update per host:
10,000 hosts at 60 seconds are 167 a second. Must be well below
``[conductor] host_timeout``, or healthy hosts drop out between two reports.
Changes do not wait for it.
""",
    ),
    cfg.IntOpt(
        'scan_interval',
        default=600,
        min=1,
        help="""
Seconds between two full looks at all devices.

libvirt announces devices that come and go, and the agent then looks at once;
the full look repairs what was announced while nobody listened, and notices
what is not announced, such as a file system that was mounted.
""",
    ),
    cfg.FloatOpt(
        'settle_time',
        default=0.5,
        min=0,
        max=10,
        help="""
Seconds to wait after an announced change before looking.

Creating virtual functions announces each of them, and their network
interfaces some tenths of a second later. With 0 the agent would look many
times; with more than about 1.5 a change takes longer than two seconds to be
reported.
""",
    ),
    cfg.IntOpt(
        'rpc_timeout',
        default=30,
        min=1,
        help="""
Seconds to wait for a conductor's answer before the report is repeated.

The first report of a host with thousands of devices may take some seconds to
be applied. If the time is too short, the same work is done again and again.
""",
    ),
    cfg.IntOpt(
        'max_backoff',
        default=60,
        min=1,
        help="""
The longest pause, in seconds, between two attempts to reach libvirt or a
conductor that is away. Pauses start at one second, double, and vary at random
so that ten thousand agents do not come back in the same moment.
""",
    ),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    """Register the options."""
    conf.register_opts(_OPTS, group=_GROUP)


def list_opts() -> list[tuple[str | None, list[cfg.Opt]]]:
    """Return the options by group."""
    return [(_GROUP, _OPTS)]
