# SPDX-License-Identifier: Apache-2.0
"""``[conductor]``: how devices are given away."""

from oslo_config import cfg

_GROUP = 'conductor'

_OPTS: list[cfg.Opt] = [
    cfg.IntOpt(
        'host_timeout',
        default=180,
        min=1,
        help="""
Seconds without a sign of life from a host's agent after which the host's
devices are neither shown as free nor given away.

What instances hold there is not touched. Three times ``[agent]
report_interval`` lets two messages be lost. Too low, hosts drop out whenever
the broker is slow; too high, instances are sent to hosts that are gone.
""",
    ),
    cfg.IntOpt(
        'tracker_timeout',
        default=180,
        min=1,
        help="""
Seconds without a registration of a host's resource tracker after which Nova's
scheduler is offered nothing of the host.

The tracker is this project's part in nova-compute. It registers at its start
and then every ``[DEFAULT] update_resources_interval`` of nova.conf (60
seconds by default), so the timeout has to be well above that: three times it
lets two messages be lost. A nova-compute without that part would silently
drop requests for devices when an instance moves to its host, so that host
gets none. What instances hold there, and claims of the tracker itself, are
not touched. Too low, healthy hosts drop out of scheduling whenever a periodic
task of nova-compute takes long; too high, hosts whose nova-compute was
started without this project go on to be chosen, and refuse.
""",
    ),
    cfg.IntOpt(
        'refusals_kept',
        default=7,
        min=0,
        max=365,
        help="""
Days for which the scheduler's reasons to refuse hosts are kept.

``pci-passthrough-manage refusal list`` shows them, for example when a user
asks why an instance found no host. At most ten are kept of each instance. A
refusal takes one to a few kilobytes. With 0 none is kept, and only the log of
nova-scheduler tells.
""",
    ),
    cfg.StrOpt(
        'vf_placement',
        default='pack',
        choices=[
            (
                'pack',
                'fill one physical function before the next: keeps whole '
                'physical functions free',
            ),
            (
                'spread',
                'use the least used physical function: shares bandwidth',
            ),
        ],
        help="""
From which physical function a virtual function is taken when several would
do.

Under either value a physical function that is itself on offer, and still
whole, is broken up last.
""",
    ),
    cfg.IntOpt(
        'workers',
        default=1,
        min=1,
        help="""
How many conductor processes to run on this host.

Each works on as many calls at once as oslo.messaging's
``executor_thread_pool_size`` says. More hosts may run conductors, too; the
database serializes what must be.
""",
    ),
    cfg.PortOpt(
        'metrics_port',
        default=0,
        help="""
The TCP port on which this conductor answers Prometheus, under ``/metrics``.

With 0 it does not. One port serves all ``workers`` of this host, and one
answer counts for all of them; conductors on other hosts are scraped by
themselves. Example: 9109. A port that something else uses keeps the conductor
from starting, and SIGHUP from changing anything.
""",
    ),
    cfg.HostAddressOpt(
        'metrics_bind_host',
        default='127.0.0.1',
        help="""
The address of this host on which ``metrics_port`` is.

There is neither a password nor encryption, and the answer names all hosts and
PCI flavors, private ones too, and tells what is free. So bind it to the
address that this host has in the monitoring network, for example 192.0.2.10,
and to nothing that users reach; 0.0.0.0 is every address. The default serves
only a Prometheus, or a proxy with authentication, on this host.
""",
    ),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    """Register the options."""
    conf.register_opts(_OPTS, group=_GROUP)


def list_opts() -> list[tuple[str | None, list[cfg.Opt]]]:
    """Return the options by group."""
    return [(_GROUP, _OPTS)]
