# SPDX-License-Identifier: Apache-2.0
"""Options of the group ``[agent]``, for pci-passthrough-agent."""

from oslo_config import cfg

_GROUP = 'agent'

_OPTS: list[cfg.Opt] = [
    cfg.MultiStrOpt(
        'pci_information',
        default=[],
        help="""
The PCI devices that this host offers to instances, and tags for them.

Each value is an entry, one JSON document on one line. Repeat the option for
further entries; files in ``--config-dir`` add entries. The first entry that
matches a device decides about it. Without entries the host offers nothing.
Examples::

    pci_information = {"match": {"vendor_id": "8086", "product_id": "1889"},
                       "extra_info": {"physical_network": "physnet1"}}
    pci_information = {"match": {"address": "0000:65:00.*"}, "exclude": true}
    pci_information = [{"vendor_id": "10de"}, {"e.group": "gpu"}]
    pci_information = {"vendor_id": "8086", "product_id": "1889",
                       "physical_network": "physnet1"}

The first entry offers devices with a tag. The second entry excludes devices
that a later entry would match. The third and fourth are equivalent forms, of
the original blueprint and of Nova's ``[pci] device_spec``. Write a dollar sign
as ``$$``, as everywhere in this file.

Keys of ``match``: ``vendor_id``, ``product_id``, ``subsystem_vendor_id``,
``subsystem_id``, ``class`` (``network``, ``display``, ``storage``, … or
hexadecimal digits), ``address``, ``dev_type``, ``driver``, ``numa_node``,
``parent_addr``, ``devname``, ``vgpu_type``, ``serial_number``, and for other
devices than PCI functions ``resource_type`` (``mdev``, ``usb``, …) and
``port``. A value is a string, in which ``*``, ``?`` and ``[0-9]`` work as in a
shell, a list of such strings (alternatives), or ``{"regex": "…"}``.

Users see an entry's ``type``, ``description`` and ``information``, and
``count`` limits how many devices it offers.

A device that the host itself uses (a disk with a file system, swap, RAID or
LVM, an interface with an address or a route) is refused even if an entry
matches it, because a guest with the host's root disk or only network card
breaks the host. ``"allow_in_use": true`` in an entry skips this check. A
device that no guest can have is always refused: without IOMMU group, in a
group with a function that the host uses, in a PCI domain above ffff, with
mediated devices.

With a malformed entry the agent does not start. The conductors keep the last
report, and Nova uses no devices of the host after ``[conductor]
host_timeout``. When the configuration is reloaded (SIGHUP), a malformed entry
is logged and the agent keeps the previous entries.
""",
    ),
    cfg.StrOpt(
        'connection_uri',
        default='qemu:///system',
        help="""
The connection URI of the libvirt that lists this host's node devices.

Use the libvirt of nova-compute. The agent opens a read-only connection. With
a URI that libvirt does not support, the agent exits. While libvirt does not
answer, the agent keeps its last result and tries again. For a simulated host
use libvirt's test driver: ``test:///etc/pci-passthrough/node.xml``.
""",
    ),
    cfg.StrOpt(
        'host_root',
        help="""
The directory with this host's ``sys``, ``proc`` and ``run``.

The agent reads there what libvirt does not report: subsystem ids, whether the
host itself uses a device, and whether a guest can have it. The default is
``/`` for a local ``qemu:///``, ``ch:///``, ``xen:///`` or ``lxc:///`` URI and
unset for other URIs. In a container, set the directory where the host's root
directory is mounted, for example ``/host``: the container's ``/proc`` does not
show that a disk is mounted on the host. The agent then reads the host's
addresses and routes in the network namespace of its process 1. Give the
container the host's network and CAP_SYS_PTRACE, or CAP_SYS_ADMIN and
CAP_SYS_PTRACE; otherwise the agent refuses all network cards.

Without this directory the agent cannot check whether the host uses a device,
and does not start, except with libvirt's test driver.
""",
    ),
    cfg.StrOpt(
        'verdict_dir',
        help="""
The directory in which the agent tells nova-compute what may leave this host.

nova-compute gives guests no device that is not in the file there: no message
of another host or a forged one can talk this host into more. The default is
``/run/pci-passthrough``, except with libvirt's test driver, which has no
nova-compute. ``[pci_passthrough] verdict_dir`` of nova-compute must name the
same directory: if one of both runs in a container, mount it there.

Only the agent's user and root may be able to write there, as with systemd's
``RuntimeDirectory=``: otherwise nova-compute ignores the file. If the agent
cannot write it, it does not start. With an empty value it writes none.
""",
    ),
    cfg.MultiStrOpt(
        'handler_command',
        default=[],
        help="""
Programs of yours that clean, verify or set up devices.

Each value is one JSON object on one line; repeat the option for more. An
entry of ``pci_information`` names a program by ``"handler": "command:NAME"``.
Example::

    handler_command = {"name": "attest", "verbs": ["verify"], "timeout": 120,
                       "program": ["/usr/local/bin/attest", "--strict"]}

``program`` is a list of arguments, and no shell reads it. ``verbs`` are
``clean``, ``verify`` and ``setup``, the default is ``clean``. ``timeout`` are
the seconds after which it is killed, by default 600, and at most
``handler_timeout``. The program gets the
facts about the device as variables (``PCI_ADDRESS``, ``PCI_VERB`` and so on)
and as JSON on its standard input. It runs as the agent's user: let it use
``sudo`` if it needs privileges. Exit status 0 means success; with another one
the device is not given to anybody. With a malformed value the agent does not
start.
""",
    ),
    cfg.BoolOpt(
        'default_handlers',
        default=True,
        help="""
Whether devices whose entry names no handler get the one of their PCI class.

Those are ``reset`` for display controllers, processing accelerators,
co-processors and encryption controllers, and ``nvme-sanitize`` for NVMe
controllers, **which erases them** when they come back from an instance. A
device gets it only if the host can run it: the kernel offers a reset of it,
nvme-cli is installed, and the agent is root or has a ``helper_command`` in
``[privileged_files]`` (for nvme-cli, in ``[privileged_nvme]``, too).
``"handler": "none"`` in an entry switches it off for the entry's devices,
``False`` for the host: such a device gets from one instance to the next as it
is. ``pci-passthrough-agent --once --dry-run`` shows the handlers of each
device.
""",
    ),
    cfg.FloatOpt(
        'handler_timeout',
        default=14400,
        min=0.1,
        help="""
Seconds in which a handler must clean, verify or set up a device.

After that its process is killed and the attempt has failed. The default is
four hours. To overwrite a hard disk of 20 TB takes a day: raise the value for
hosts with such disks, or their devices are quarantined. With a low value, for
example 10, the sanitize operations of large SSDs fail.
""",
    ),
    cfg.IntOpt(
        'handler_processes',
        default=8,
        min=1,
        help="""
The number of devices that handlers prepare at the same time.

Each takes a process with about 50 MB of memory. With 1, a disk that is
overwritten keeps all other devices of the host waiting.
""",
    ),
    cfg.IntOpt(
        'preparation_interval',
        default=30,
        min=1,
        help="""
Seconds between two questions which devices have to be prepared.

Only agents with handlers ask. The agent also asks after each scan, for
example when libvirt has given a device back to its driver. A device whose
return nothing announces waits this long until it is cleaned; with a low value
on many hosts, for example 1, conductors answer little else.
""",
    ),
    cfg.IntOpt(
        'report_interval',
        default=60,
        min=1,
        help="""
Seconds between two heartbeats while nothing changes.

A heartbeat costs the conductors one small message and one row update: 10,000
hosts with 60 seconds send 167 heartbeats per second. The value must be well
below ``[conductor] host_timeout``; otherwise healthy hosts count as down
between two heartbeats. Changes are reported immediately.
""",
    ),
    cfg.IntOpt(
        'scan_interval',
        default=600,
        min=1,
        help="""
Seconds between two periodic scans of all devices.

The agent also scans after each event of libvirt. The periodic scan detects
lost events and changes without events, such as a newly mounted file system:
with 600, such a change is noticed after ten minutes at most. A low value costs
CPU time on hosts with thousands of devices.
""",
    ),
    cfg.FloatOpt(
        'settle_time',
        default=0.5,
        min=0,
        max=10,
        help="""
Seconds between an event of libvirt and the scan.

When virtual functions are created, libvirt sends an event for each of them,
and some tenths of a second later one for each network interface. With 0 the
agent scans many times; with more than about 1.5 it takes more than two seconds
to report a change.
""",
    ),
    cfg.IntOpt(
        'rpc_timeout',
        default=30,
        min=1,
        help="""
Seconds to wait for a conductor's answer before a report is repeated.

A conductor may need some seconds for the first report of a host with
thousands of devices. If the value is too low, for example 1, the agent repeats
the report while a conductor still processes it.
""",
    ),
    cfg.IntOpt(
        'max_backoff',
        default=60,
        min=1,
        help="""
Most seconds between two attempts to reach libvirt or a conductor.

The first pause is one second. Each further pause is twice as long, up to this
value, and varies at random, so that ten thousand agents do not reconnect at
the same moment. With a low value the agents load a broker that has just
restarted; with a high value, for example 600, a host stays down for minutes
after an outage.
""",
    ),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    """Register the options."""
    conf.register_opts(_OPTS, group=_GROUP)


def list_opts() -> list[tuple[str | None, list[cfg.Opt]]]:
    """Return the options by group."""
    return [(_GROUP, _OPTS)]
