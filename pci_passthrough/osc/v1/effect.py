# SPDX-License-Identifier: Apache-2.0
"""What ``--dry-run`` shows: what a change would do to devices."""

from collections.abc import Callable
from collections.abc import Mapping
import functools
from typing import Any

from pci_passthrough.osc.v1 import base
from pci_passthrough.osc.v1 import columns


def one(effect: Mapping[str, Any]) -> base.Output:
    """Return fields and values of one effect."""
    flat = _flat(effect)
    return tuple(flat), [
        _LOOKS.get(name, columns.OrDash)(value) for name, value in flat.items()
    ]


def table(effects: Mapping[str, Mapping[str, Any]]) -> base.Output:
    """Return columns, and a row for each effect.

    :param effects: by what the user called the PCI flavor.
    """
    layout: columns.Layout = {
        'Name': ('asked', columns.as_is),
        'Devices': ('devices_before', columns.OrDash),
        'Devices Held': ('devices_stranded', columns.OrDash),
        'Instances': ('instance_count', columns.OrDash),
        'Refusal': ('refusal', columns.OrDash),
    }
    return columns.table(
        layout,
        [{'asked': name, **_flat(effects[name])} for name in effects],
    )


def _flat(effect: Mapping[str, Any]) -> dict[str, Any]:
    """Return an effect without levels; what a user may not see is absent."""
    flavor = effect.get('pci_flavor') or {}
    found = {name: flavor[name] for name in ('name', 'match') if flavor}
    for name, value in (effect.get('devices') or {}).items():
        found[f'devices_{name}'] = value
    for name, value in (effect.get('pools') or {}).items():
        found[f'pools_{name}'] = value
    requests = effect.get('requests') or {}
    for name, key in (
        ('devices_stranded', 'stranded'),
        ('instance_count', 'instance_count'),
        ('instances', 'instances'),
    ):
        if key in requests:
            found[name] = requests[key]
    found['refusal'] = effect.get('refusal')
    return found


def _pool(pool: Mapping[str, Any]) -> str:
    """Return a pool in a line."""
    tags = columns.Tags(pool['extra_info']).human_readable()
    return (
        f'{pool["host"]}: {pool["vendor_id"]}:{pool["product_id"]} '
        f'{pool["dev_type"]}, {tags}, {pool["free"]} of {pool["total"]} free'
    )


_LOOKS: Mapping[str, Callable[[Any], Any]] = {
    'match': columns.Match,
    'pools_gained': functools.partial(columns.Lines, line=_pool),
    'pools_lost': functools.partial(columns.Lines, line=_pool),
    'instances': columns.Lines,
}
