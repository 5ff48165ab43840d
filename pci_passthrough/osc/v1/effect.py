# SPDX-License-Identifier: Apache-2.0
"""Output of ``--dry-run``: the effect that a change would have on devices."""

from collections.abc import Mapping
import functools
from typing import Any

from pci_passthrough.osc.v1 import base
from pci_passthrough.osc.v1 import columns


def show(effect: Mapping[str, Any]) -> base.Output:
    """Return the fields and values of an effect."""
    flat = _flattened(effect)
    return columns.show(
        {name: _SHOW_COLUMNS.get(name, columns.OrDash) for name in flat}, flat
    )


def table(effects: Mapping[str, Mapping[str, Any]]) -> base.Output:
    """Return columns, and a row for each effect.

    :param effects: effects by the name or UUID of the PCI flavor, as the user
        wrote it.
    """
    return columns.table(
        _COLUMNS,
        [
            {**_flattened(effect), 'argument': name}
            for name, effect in effects.items()
        ],
    )


def _flattened(effect: Mapping[str, Any]) -> dict[str, Any]:
    """Return an effect without nesting.

    Fields that the user may not see are absent, and so are no warnings.
    """
    flavor = effect.get('pci_flavor') or {}
    flat = {name: flavor[name] for name in ('name', 'match') if flavor}
    for group in ('devices', 'pools'):
        for name, value in (effect.get(group) or {}).items():
            flat[f'{group}_{name}'] = value
    requests = effect.get('requests') or {}
    for name, key in (
        ('devices_stranded', 'stranded'),
        ('devices_outside', 'outside'),
        ('instance_count', 'instance_count'),
        ('instances', 'instances'),
    ):
        # Only few PCI flavors are restricted to hosts.
        if key in requests and (requests[key] or key != 'outside'):
            flat[name] = requests[key]
    flat['refusal'] = effect.get('refusal')
    if effect.get('warnings'):
        flat['warnings'] = [item['text'] for item in effect['warnings']]
    return flat


def _pool_line(pool: Mapping[str, Any]) -> str:
    tags = columns.Tags(pool['extra_info']).human_readable()
    return (
        f'{pool["host"]}: {pool["vendor_id"]}:{pool["product_id"]} '
        f'{columns.device_type(pool)}, {tags}, '
        f'{pool["free"]} of {pool["total"]} free'
    )


_COLUMNS: columns.Columns = {
    'Name': columns.field('argument'),
    'Devices': columns.field('devices_before', columns.OrDash),
    'Devices Held': columns.field('devices_stranded', columns.OrDash),
    'Instances': columns.field('instance_count', columns.OrDash),
    'Refusal': columns.field('refusal', columns.OrDash),
}

_SHOW_COLUMNS: columns.Formatters = {
    'match': columns.Match,
    'pools_gained': functools.partial(columns.Lines, line=_pool_line),
    'pools_lost': functools.partial(columns.Lines, line=_pool_line),
    'instances': columns.Lines,
    'warnings': columns.Lines,
}
