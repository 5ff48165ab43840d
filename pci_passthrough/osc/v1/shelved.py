# SPDX-License-Identifier: Apache-2.0
"""Shelved servers that will ask for a PCI flavor again, from Nova.

They hold no device, so the service knows nothing of them.
"""

import collections
from collections.abc import Iterator
from collections.abc import Mapping
import re
from typing import Any

from pci_passthrough.osc.v1 import servers

_EXTRA_SPEC = 'pci_passthrough:pci_flavor'
_PREFIX = 'hardware_resource:'


def names_in(extra_specs: Mapping[str, str]) -> Iterator[str]:
    """Yield the names and UUIDs of PCI flavors in a flavor's extra specs."""
    for key, value in extra_specs.items():
        if key == _EXTRA_SPEC:
            for alternative in re.split('[,|]', value):
                yield alternative.partition(':')[0].strip()
        elif key.startswith(_PREFIX):
            yield key.removeprefix(_PREFIX)


def by_pci_flavor(manager: Any) -> dict[str, list[str]]:
    """Return the UUIDs of shelved servers by the PCI flavors they ask for.

    Without Nova, or the rights to see all servers, there is none. Requests of
    NICs are not among them: Nova does not show them.

    :param manager: the ``client_manager`` of a command.
    :returns: keys are what the extra specs name: names and UUIDs.
    """

    def question(compute: Any) -> dict[str, list[str]]:
        asking = collections.defaultdict(list)
        for server in compute.servers(
            all_projects=True, status='SHELVED_OFFLOADED'
        ):
            for name in set(names_in(server.flavor.extra_specs or {})):
                asking[name].append(server.id)
        return asking

    nobody: dict[str, list[str]] = {}
    return servers.ask(manager, question, nobody)
