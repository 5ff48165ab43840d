# SPDX-License-Identifier: Apache-2.0
"""The guard: a mark in a Nova flavor that a Nova without the plugin refuses.

Nova ignores the extra spec of PCI flavors, so without the Nova plugin it would
start an instance without its devices. The mark is a request for an alias that
no ``nova.conf`` has::

    pci_passthrough:alias = needs-pci-passthrough:1

Nova refuses the flavor, in each process that makes requests of it: nova-api
answers 400, and nova-compute accepts no move. The Nova plugin leaves the mark
out. Pure.
"""

from collections.abc import Mapping

#: Nova's extra spec of native requests.
ALIAS = 'pci_passthrough:alias'

#: The alias that must not exist.
NAME = 'needs-pci-passthrough'

_MARK = f'{NAME}:1'


def is_marked(specs: Mapping[str, str]) -> bool:
    """Whether extra specs have the mark."""
    return _MARK in _parts(specs)


def marked(specs: Mapping[str, str]) -> dict[str, str]:
    """Return extra specs with the mark."""
    if is_marked(specs):
        return dict(specs)
    return {**specs, ALIAS: ','.join([*_parts(specs), _MARK])}


def unmarked(specs: Mapping[str, str]) -> dict[str, str]:
    """Return extra specs without the mark."""
    if not is_marked(specs):
        return dict(specs)
    others = {key: text for key, text in specs.items() if key != ALIAS}
    native = ','.join(part for part in _parts(specs) if part != _MARK)
    return others | ({ALIAS: native} if native else {})


def _parts(specs: Mapping[str, str]) -> list[str]:
    parts = str(specs.get(ALIAS) or '').split(',')
    return [part.strip() for part in parts if part.strip()]
