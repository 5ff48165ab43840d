# SPDX-License-Identifier: Apache-2.0
"""Options of the group ``[conductor]``, for pci-passthrough-conductor."""

from keystoneauth1 import loading
from oslo_config import cfg

_GROUP = 'conductor'

_OPTS: list[cfg.Opt] = [
    cfg.IntOpt(
        'host_timeout',
        default=180,
        min=1,
        help="""
Seconds without a heartbeat of a host's agent after which the host is down.

Devices of a host that is down are neither shown as free nor claimed. Devices
that instances hold are not affected. Use three times ``[agent]
report_interval``, so that two messages may be lost: 180 for 60. If the value
is too low, hosts are down whenever the broker is slow. If the value is too
high, Nova chooses hosts that have failed.
""",
    ),
    cfg.IntOpt(
        'tracker_timeout',
        default=180,
        min=1,
        help="""
Seconds without a registration of a host's tracker after which Nova's
scheduler uses no devices of the host.

The tracker is the part of the Nova plugin in nova-compute. It registers when
nova-compute starts and then every ``[DEFAULT] update_resources_interval`` of
nova.conf, by default 60 seconds. Use three times this interval, so that two
messages may be lost. A nova-compute without the plugin silently ignores
requests for devices when an instance moves to its host; therefore the
scheduler does not use such a host. Devices that instances hold, and claims of
the tracker itself, are not affected.

If the value is too low, healthy hosts are not used whenever a periodic task of
nova-compute takes long. If the value is too high, the scheduler still chooses
hosts whose nova-compute was restarted without the plugin, and these hosts
refuse the instance.
""",
    ),
    cfg.IntOpt(
        'refusals_kept',
        default=7,
        min=0,
        max=365,
        help="""
Days for which the refusals of Nova's scheduler are stored.

``openstack pci refusal list`` shows refusals, for example to explain why no
host was found for a server. At most ten refusals of each instance
are stored, each of a few kilobytes. With 0 no refusals are stored, and only
nova-scheduler's log contains them.
""",
    ),
    cfg.StrOpt(
        'vf_placement',
        default='pack',
        choices=[
            (
                'pack',
                'use the most used physical function: keeps other physical '
                'functions completely free',
            ),
            (
                'spread',
                'use the least used physical function: shares the bandwidth '
                'of all physical functions',
            ),
        ],
        help="""
The physical function of which a virtual function is claimed if several
physical functions have free ones.

With either value, a physical function that is offered itself and has no held
virtual functions is used last. With ``spread`` an instance that needs a whole
physical function finds one less often; with ``pack`` the instances on one
physical function share its bandwidth.
""",
    ),
    cfg.IntOpt(
        'preparation_attempts',
        default=3,
        min=1,
        help="""
How often the handlers of a device may fail to set it up or to clean it until
the device is quarantined.

The agent runs the ``handler`` of an entry in ``pci_information`` before an
instance can have the device. A quarantined device is given to nobody until an
operator looks at it: ``openstack pci device show`` has the output of the
handlers. Entries with ``"on_failure": "retry"`` have no limit. If the value is
too low, one busy moment of the hardware takes a device out of service; if it
is too high, a broken device is busy with cleaning for long.
""",
    ),
    cfg.IntOpt(
        'failed_starts',
        default=3,
        min=0,
        help="""
The number of failed starts in a row after which a device is quarantined.

A start fails if libvirt cannot start the guest of an instance, and the
instance then gives the device back. Such a device is chosen last. A guest that
starts sets the count to zero. The starts must be of guests of
``failed_start_instances`` different instances.

With 0 no device is quarantined for this reason. If the value is too low, other
faults of a host, for example too little memory, quarantine good devices; if it
is too high, more instances fail because of one bad device.
""",
    ),
    cfg.IntOpt(
        'failed_start_instances',
        default=2,
        min=1,
        max=20,
        help="""
Of how many different instances the ``failed_starts`` must be.

With 1, a single instance that cannot be started anywhere, for example because
of its image, can quarantine devices by trying often enough.
""",
    ),
    cfg.IntOpt(
        'audit_interval',
        default=600,
        min=0,
        max=86400,
        help="""
Seconds between two audits of the whole cloud; 0 means that there are none.

An audit compares the devices that instances hold with the servers of Nova, and
counts the differences in the metrics. One conductor at a time does it. There
are none without credentials in ``[nova]``. Each asks Nova for all servers: if
the value is too low, Nova's API is busy with it.
""",
    ),
    cfg.BoolOpt(
        'audit_fix',
        default=False,
        help="""
Whether the audit frees devices of instances that Nova does not have.

With false, they are only counted and logged, and
``pci-passthrough-manage audit --fix`` frees them.
""",
    ),
    cfg.BoolOpt(
        'flavor_from_group',
        default=False,
        help="""
Whether each group that a host gives its devices becomes a PCI flavor at once.

A group is a value of the tag ``group``, or ``name``, of an entry in
``pci_information``. The first report with ``"group": "10g"`` makes the public
PCI flavor ``10g``, which matches ``e.group=10g`` and belongs to no project. It
is never changed or deleted by the conductor. Set the same value for the REST
API: it then warns where a PCI flavor and a group mean different devices by one
name.

With true, whoever writes the ``pci_information`` of a host decides what all
projects can request. With false, only administrators make PCI flavors.
""",
    ),
    cfg.IntOpt(
        'limits_remembered',
        default=10,
        min=0,
        max=3600,
        help="""
Seconds for which a conductor remembers the limits of projects.

Limits for PCI flavors are in Keystone, see ``[oslo_limit]``. A limit that is
changed applies after this time; while Keystone is slow to answer, after twice
this time, because one call asks and the others go on. The devices that a
project holds are counted for each claim, and are never remembered. With 0,
each claim asks Keystone. If the value is too high, a user who has been given
more waits for it.
""",
    ),
    cfg.IntOpt(
        'host_devices',
        default=4096,
        min=1,
        help="""
The number of devices that one host may have.

A report with more is refused as a whole, and nothing of it is recorded; the
log of the host's agent has the error. Other hosts are not affected. If the
value is too low, a large host is down; if it is too high, one host with a
wrong ``pci_information``, or a compromised one, can fill the database.
""",
    ),
    cfg.IntOpt(
        'host_pool_keys',
        default=256,
        min=1,
        help="""
The number of different pools that the devices of one host may form.

A pool is a combination of properties and tags. Each conductor and each API
process holds all pools of the cloud in memory. A report with more is refused
as a whole. Raise the value if each of many devices has a tag of its own, for
example its slot; if it is too high, one host can fill the memory.
""",
    ),
    cfg.IntOpt(
        'host_tag_bytes',
        default=1048576,
        min=1024,
        help="""
The bytes of the tags (``extra_info``) of all devices of one report.

A report with more is refused as a whole. If the value is too low, a host with
many devices and long tags is down; if it is too high, the reports of one host
can occupy a conductor.
""",
    ),
    cfg.IntOpt(
        'calls_per_host',
        default=8,
        min=1,
        help="""
The number of calls of one host that a conductor process executes at a time.

A call of pci-passthrough-agent or nova-compute waits while another one changes
devices of the same host. Further calls of the host are refused at once, and
the callers repeat them within their ``rpc_timeout``, so that a host that
calls far too often cannot occupy all threads of the conductors. Use a small
part of ``[DEFAULT] executor_thread_pool_size``, which is 64: with 8, seven
such hosts leave threads to the others. If the value is too low, instances of a
host that starts many at once wait longer; if it is too high, one host can
delay all others.
""",
    ),
    cfg.IntOpt(
        'workers',
        default=1,
        min=1,
        help="""
The number of conductor processes on this host.

Each process handles ``[DEFAULT] executor_thread_pool_size`` calls (an option
of oslo.messaging) at the same time, so that 2 handle twice as many. Conductors
can also run on several hosts; the database serializes changes of the same
host's devices. With too few processes calls wait and may time out. Each
process needs its own connections to the database and the broker.
""",
    ),
    cfg.PortOpt(
        'metrics_port',
        default=0,
        help="""
The TCP port of this conductor's metrics for Prometheus, for example 9109.

With 0 there are no metrics. The path is ``/metrics``. One port serves the
metrics of all ``workers`` on this host; configure Prometheus to scrape each
host with conductors. If another program uses the port, the conductor does not
start, and a reload (SIGHUP) changes nothing.
""",
    ),
    cfg.HostAddressOpt(
        'metrics_bind_host',
        default='127.0.0.1',
        help="""
The IP address on which the conductor listens for ``metrics_port``.

The metrics are served without authentication and encryption, and contain the
names of all hosts and PCI flavors, including private ones, and numbers of free
devices. Use this host's address in the monitoring network, for example
192.0.2.10, and no address that users can reach; 0.0.0.0 means all addresses.
With the default only a Prometheus, or a proxy with authentication, on this
host can read the metrics.
""",
    ),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    """Register the options, and those that tell of ``[oslo_limit]``."""
    conf.register_opts(_OPTS, group=_GROUP)
    loading.register_auth_conf_options(conf, 'oslo_limit')


def list_opts() -> list[tuple[str | None, list[cfg.Opt]]]:
    """Return the options by group."""
    return [(_GROUP, _OPTS)]
