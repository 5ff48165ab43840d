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
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    """Register the options."""
    conf.register_opts(_OPTS, group=_GROUP)


def list_opts() -> list[tuple[str | None, list[cfg.Opt]]]:
    """Return the options by group."""
    return [(_GROUP, _OPTS)]
