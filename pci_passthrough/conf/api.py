# SPDX-License-Identifier: Apache-2.0
"""``[api]``: the REST service."""

from oslo_config import cfg

_GROUP = 'api'

_OPTS: list[cfg.Opt] = [
    cfg.IntOpt(
        'rpc_timeout',
        default=30,
        min=1,
        help="""
Seconds to wait for a conductor's answer to a change.

Reads need no conductor. A change that got no answer in time may have been
made all the same; the caller gets status 503 and can look. Much lower than
the default, a slow database turns changes into errors; much higher, callers
and the proxy before them give up first.
""",
    ),
    cfg.IntOpt(
        'availability_low_requests',
        default=2,
        min=0,
        help="""
Up to how many requests that could still be served a PCI flavor's availability
is ``low``, as projects see it.

With the default, an availability of ``ok`` means that three instances more,
at least, find devices. Projects are told no numbers. With 0 only
``availability_low_percent`` makes a PCI flavor ``low``. A high value warns
early, and then always in a small cloud.
""",
    ),
    cfg.IntOpt(
        'availability_low_percent',
        default=10,
        min=0,
        max=100,
        help="""
Up to which share of free devices, in percent, a PCI flavor's availability is
``low``, as projects see it.

Of all devices that it matches, on hosts that are up. With 0 only
``availability_low_requests`` makes a PCI flavor ``low``, with 100 none is
ever ``ok``.
""",
    ),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    """Register the options."""
    conf.register_opts(_OPTS, group=_GROUP)


def list_opts() -> list[tuple[str | None, list[cfg.Opt]]]:
    """Return the options by group."""
    return [(_GROUP, _OPTS)]
