# SPDX-License-Identifier: Apache-2.0
"""Options of the group ``[pci_passthrough]`` in nova.conf.

The Nova plugin registers them with Nova's configuration. This project's own
programs do not have them.
"""

from oslo_config import cfg

from pci_passthrough import host_verdict

#: The group, and the name to set in ``[DEFAULT] config_source``.
GROUP = 'pci_passthrough'

_OPTS: list[cfg.Opt] = [
    cfg.StrOpt(
        'transport_url',
        secret=True,
        help="""
The message broker of pci-passthrough-conductor.

The default is Nova's ``[DEFAULT] transport_url``. All other options of the
connection, for example ``[oslo_messaging_rabbit]``, are always Nova's.
Example::

    transport_url = rabbit://pci:secret@controller:5672/pci

Every Nova process must reach the conductors' virtual host. In a cloud with
several cells set the option in each cell, because ``[DEFAULT] transport_url``
of nova-compute names the cell's own broker.

With a wrong value no instance with PCI flavors can be created or moved: calls
fail with ``ConductorUnavailable`` after ``rpc_timeout``, and the scheduler
uses no devices of hosts whose nova-compute cannot register. Other instances
are not affected.
""",
    ),
    cfg.IntOpt(
        'rpc_timeout',
        default=10,
        min=1,
        help="""
Seconds to wait for a conductor's answer.

nova-compute calls a conductor while it holds the lock for all claims of its
host, and nova-api while a user waits. With a much higher value, an outage of
the conductors delays instances without PCI devices, too. With a much lower
value, for example 1, claims fail while the database is slow. A claim without
an answer in time is aborted, and Nova tries another host.
""",
    ),
    cfg.StrOpt(
        'verdict_dir',
        default=host_verdict.DEFAULT_FOLDER,
        help="""
The directory in which this host's agent tells what may leave the host.

It is ``[agent] verdict_dir`` of pci-passthrough-agent. Before nova-compute
claims a device, and before it starts a guest with one, it reads the file of
its host there. A device that the agent does not offer now is refused, whatever
a conductor, or a forged message, says.

While there is no file, or a file older than ``verdict_max_age``, the host gets
no instances with PCI flavors, and their guests do not start on it. With an
empty value nova-compute relies on the conductors alone: use that only while
the agent of this host is of a release that writes no file. Only nova-compute
reads this option.
""",
    ),
    cfg.IntOpt(
        'verdict_max_age',
        default=600,
        min=1,
        help="""
Seconds after which nova-compute does not rely on the agent's verdict.

The agent renews it every ``[agent] report_interval``, also while no conductor
answers. With a value below that, guests do not start between two renewals;
with a high one, for example 86400, a device that the host has begun to use
itself after the agent ended may be given to a guest.
""",
    ),
    cfg.FloatOpt(
        'pci_flavor_weight_multiplier',
        default=1.0,
        help="""
The weight of a host's devices when nova-scheduler chooses among hosts.

For an instance with PCI flavors, the scheduler prefers hosts with the first
alternative of a request, hosts that keep most physical functions completely
free, and hosts that serve the requests with the least valuable devices. For
other instances, the scheduler avoids hosts that offer devices. The option
needs PciFlavorWeigher among the weighers, see ``insert_filter``.

Nova's other weighers have multipliers, too, most of them 1.0; with 2.0 the
devices count twice as much. With 0 devices have no weight. A negative value
reverses the order, so that instances without devices fill the hosts with
devices. Metadata of a host aggregate with the name of this option overrides
the value for the hosts of the aggregate.

Hosts that could only serve the requests with a device whose last guest did not
start are the last ones: with any value but 0, this counts a thousand times as
much.
""",
    ),
    cfg.IntOpt(
        'hosts_with_devices_interval',
        default=60,
        min=1,
        help="""
Seconds for which nova-scheduler caches the list of hosts with devices.

The list is used only to avoid these hosts for instances without PCI flavors.
nova-scheduler updates it in the background and never waits for it. Until the
first answer, and while no conductor answers, no host is avoided. The same
applies to the numbers of free devices by NUMA node, which nova-scheduler
needs to create several instances with a NUMA topology at once. A low value,
for example 1, costs an RPC call for almost each instance. With a high value,
for example 3600, a new host with devices is avoided only after an hour.
""",
    ),
    cfg.StrOpt(
        'mixed_nics',
        default='warn',
        choices=[
            ('refuse', 'respond with HTTP 400'),
            ('warn', 'add a header Warning to the response, and log it'),
            ('allow', 'do nothing'),
        ],
        help="""
The reaction of nova-api to an instance with NICs of vnic_type ``macvtap``
beside NICs of vnic_type ``direct`` or ``direct-physical``.

A macvtap NIC is slower than a direct NIC, but keeps its network during a live
migration. A direct NIC must be unplugged for a live migration, which
interrupts the guest's network. In an instance with both, the macvtap NIC is
slow without any advantage. NICs by PCI flavor and ports that users created
count alike, for new servers and for NICs that are attached later. Virtio NICs
(``normal``) can be combined with both.

With ``refuse``, users cannot create servers with such a combination any more,
even if existing applications need it. With ``allow``, users do not notice the
disadvantage. Only nova-api reads this option.
""",
    ),
    cfg.BoolOpt(
        'insert_filter',
        default=True,
        help="""
Whether nova-scheduler inserts PciFlavorFilter and PciFlavorWeigher by itself.

It does where ``[filter_scheduler] enabled_filters`` and ``weight_classes`` do
not name them: the filter before NUMATopologyFilter and PciPassthroughFilter,
or after all others if there are none. nova-scheduler logs the result when it
starts. A filter that is named is used where it stands.

With ``false`` and without the filter in ``enabled_filters``, nova-scheduler
chooses hosts for instances with PCI flavors without regard to their devices,
and logs an error when it starts. Only nova-scheduler reads this option.
""",
    ),
    cfg.BoolOpt(
        'reason_in_fault',
        default=True,
        help="""
Whether the fault of a server without a host says which devices are missing.

The fault names the PCI flavors that the server's Nova flavor and NICs ask for,
and the reasons that ``openstack pci flavor explain`` tells projects: neither
hosts nor numbers. For example::

    No valid host was found. PCI flavor t4: No device is free. See
    'openstack pci flavor explain t4'.

With ``false`` the fault has Nova's own text. Set it if your policies forbid
projects ``pci_flavors:explain``. Only nova-scheduler reads this option.
""",
    ),
    cfg.ListOpt(
        'accepted_nova_changes',
        default=[],
        help="""
Changed functions of Nova with which this Nova process starts nevertheless.

When a Nova process starts, the plugin compares the functions of Nova that it
replaces or calls with the tested releases. If a function is missing or has
other parameters, the process exits. If only the code of a function differs,
for example because of a vendor's patch, the process exits, too, and prints a
value for this option, with the function and a digest of its code::

    accepted_nova_changes = nova.pci.stats:PciDeviceStats.support_requests=0123456789abcdef

Set the value only after you have read the change: with code that behaves
differently, two instances may get the same device, or devices may be lost.
Separate several values by commas. A value is valid for exactly one version of
the code; after the next change of the function the process exits again. Values
without a matching function are ignored.
""",  # noqa: E501
    ),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    """Register the options with Nova's configuration."""
    conf.register_opts(_OPTS, group=GROUP)


def list_opts() -> list[tuple[str | None, list[cfg.Opt]]]:
    """Return the options by group, for oslo-config-generator."""
    return [(GROUP, _OPTS)]
