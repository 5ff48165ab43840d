# SPDX-License-Identifier: Apache-2.0
"""Options of the group ``[api]``, for the REST API."""

from oslo_config import cfg

_GROUP = 'api'

_OPTS: list[cfg.Opt] = [
    cfg.IntOpt(
        'rpc_timeout',
        default=30,
        min=1,
        help="""
Seconds to wait for a conductor's answer when a request changes something.

Requests that only read need no conductor. If no answer arrives in time, the
caller gets HTTP 503; the change may have been made nevertheless, so the caller
should read before repeating it. A much lower value turns changes into errors
while the database is slow. With a much higher value, clients and proxies time
out first.
""",
    ),
    cfg.IntOpt(
        'availability_low_requests',
        default=2,
        min=0,
        help="""
The greatest number of further requests at which a PCI flavor's availability
is ``low``.

Projects see the availability of a PCI flavor as ``none``, ``low`` or ``ok``,
without numbers. With the default, ``ok`` means that at least three more
requests for the PCI flavor can be served. With 0 only
``availability_low_percent`` makes a PCI flavor ``low``. A high value warns
early, but always in a small cloud.
""",
    ),
    cfg.IntOpt(
        'availability_low_percent',
        default=10,
        min=0,
        max=100,
        help="""
The greatest percentage of free devices at which a PCI flavor's availability
is ``low``.

100 percent are all devices that the PCI flavor matches, on hosts that are up.
With 10, a PCI flavor with 40 devices is ``low`` when at most 4 are free. With
0 only ``availability_low_requests`` makes a PCI flavor ``low``; with 100 no
PCI flavor is ever ``ok``.
""",
    ),
]


def register_opts(conf: cfg.ConfigOpts) -> None:
    """Register the options."""
    conf.register_opts(_OPTS, group=_GROUP)


def list_opts() -> list[tuple[str | None, list[cfg.Opt]]]:
    """Return the options by group."""
    return [(_GROUP, _OPTS)]
