# SPDX-License-Identifier: Apache-2.0
"""``[pci_passthrough]`` in nova.conf: the door's side of things.

Not among the options of this project's own programs: they belong to Nova's
configuration, and are registered there when the door is installed.
"""

from oslo_config import cfg

#: The group, and the name that ``[DEFAULT] config_source`` has to give.
GROUP = 'pci_passthrough'

_OPTS: list[cfg.Opt] = [
    cfg.StrOpt(
        'transport_url',
        secret=True,
        help="""
The broker on which pci-passthrough-conductor listens.

Without it, Nova's own ``[DEFAULT] transport_url`` is used. The other options
of the connection, ``[oslo_messaging_rabbit]`` for example, are Nova's in any
case. Example::

    transport_url = rabbit://pci:secret@controller:5672/pci

It must lead to the conductors' virtual host from every Nova process. In a
cloud of several cells that is a question: nova-compute's own URL is the one
of its cell's broker.

With a wrong one no instance with a PCI flavor is created or moved: calls end
with ``ConductorUnavailable`` after ``rpc_timeout``, and hosts whose
nova-compute cannot register are not offered. All other instances are as
before.
""",
    ),
    cfg.IntOpt(
        'rpc_timeout',
        default=10,
        min=1,
        help="""
Seconds to wait for a conductor's answer.

nova-compute asks while it holds the lock under which all claims of its host
are made, and nova-api while a user waits. Much higher than the default, a
conductor that is away makes hosts slow for instances without PCI devices,
too; much lower, a slow database refuses instances which it could serve. A
claim that got no answer is given up, and Nova tries another host.
""",
    ),
    cfg.FloatOpt(
        'pci_flavor_weight_multiplier',
        default=1.0,
        help="""
How much nova-scheduler prefers one host to another because of its devices.

For an instance that asks for PCI flavors, hosts that would lose least go
first: those which have the alternative that is wanted most, keep most
physical functions whole, and give away the plainest devices. For any other
instance, hosts that offer devices go last. It needs
``pci_passthrough.nova_plugin.weigher.PciFlavorWeigher`` in
``[filter_scheduler] weight_classes``.

The value is compared with Nova's other multipliers, most of which are 1.0.
With 0 the devices do not matter; a negative value turns the order around, so
that instances without devices fill the hosts that have them. Aggregate
metadata of the same name wins over it for the hosts of the aggregate.
""",
    ),
    cfg.IntOpt(
        'hosts_with_devices_interval',
        default=60,
        min=1,
        help="""
Seconds for which nova-scheduler remembers which hosts offer devices.

Only to keep instances that ask for none off these hosts. The conductor is
asked beside the scheduling, which never waits for it: until there is an
answer, and while no conductor answers, all hosts are alike. A low value costs
a call for each instance; with a high one a new host is noticed late.
""",
    ),
    cfg.StrOpt(
        'mixed_nics',
        default='warn',
        choices=[
            ('refuse', 'such requests are answered with 400'),
            ('warn', 'the answer has a header Warning, and the log a line'),
            ('allow', 'nothing is said'),
        ],
        help="""
What nova-api does when an instance is to have NICs of vnic_type ``macvtap``
and others of vnic_type ``direct`` or ``direct-physical``.

A macvtap NIC is slower than a direct one, and keeps its network when the
instance is migrated live. A direct NIC has to be unplugged for that, and
interrupts the guest, whatever the other NICs can do: then the macvtap NIC
costs speed and brings nothing. Ports that users made count as well as PCI
flavors, and NICs that are attached later as well as those of a new server.
Virtio NICs (``normal``) are fine beside either.

With ``refuse``, applications that are deployed with such a mixture today
cannot be created any more. Read by nova-api only.
""",
    ),
    cfg.ListOpt(
        'accepted_nova_changes',
        default=[],
        help="""
Changes of Nova's code that this project has not been tested with, and that
you want to run nevertheless.

At its start each process compares the functions of Nova which it relies on
with the tested releases. If one has other parameters or is gone, the process
ends. If only its code is unknown, because of a vendor's patch for example,
it ends, too, and prints a value for this option, the function and a digest
of its code::

    accepted_nova_changes = nova.pci.stats:PciDeviceStats.support_requests=0123456789abcdef

Write it only when you have read the change: devices may be promised twice or
lost with code that behaves otherwise. Give several separated by commas. A
value that fits nothing does no harm, but say it for exactly one version of
the code: with the next one the process ends again.
""",  # noqa: E501
    ),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    """Register the options with Nova's configuration."""
    conf.register_opts(_OPTS, group=GROUP)


def list_opts() -> list[tuple[str | None, list[cfg.Opt]]]:
    """Return the options by group, for oslo-config-generator."""
    return [(GROUP, _OPTS)]
