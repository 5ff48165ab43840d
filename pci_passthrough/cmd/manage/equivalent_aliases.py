# SPDX-License-Identifier: Apache-2.0
"""The aliases of nova.conf that are equivalent to PCI flavors, for ``leave``.

``export-nova`` writes them; nova.conf must have them before Nova flavors and
instances ask for them.
"""

from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any

from pci_passthrough import objects
from pci_passthrough.cmd import conf_files
from pci_passthrough.nova_conf import to_alias
from pci_passthrough.nova_plugin.leaving import extra_specs


def by_name_and_uuid(
    pci_flavors: Iterable[objects.PciFlavor],
) -> dict[str, objects.PciFlavor]:
    """Return PCI flavors by both of their names."""
    return {
        str(key): pci_flavor
        for pci_flavor in pci_flavors
        for key in (pci_flavor.name, pci_flavor.uuid)
    }


class Aliases:
    """The aliases that are equivalent to PCI flavors.

    :param pci_flavors: all PCI flavors.
    """

    def __init__(self, pci_flavors: Iterable[objects.PciFlavor]) -> None:
        self._pci_flavors = by_name_and_uuid(pci_flavors)
        self._natives: dict[str, Any] = {}

    def native(self, name: str) -> Any:
        """Return Nova's request for the alias of a PCI flavor.

        :param name: name or UUID of a PCI flavor.
        :raises Obstacle: there is no equivalent alias, or nova.conf does not
            have it.
        """
        if name not in self._natives:
            self._natives[name] = self._look_up(
                existing(self._pci_flavors, name)
            )
        return self._natives[name]

    def _look_up(self, pci_flavor: objects.PciFlavor) -> Any:
        from pci_passthrough.nova_plugin.compat import records

        name = str(pci_flavor.name)
        translated, findings = to_alias.translate([pci_flavor])
        if not translated:
            raise extra_specs.Obstacle(
                f'asks for the PCI flavor {name}, which has no equivalent '
                'alias: ' + '; '.join(finding.problem for finding in findings),
                findings[0].advice,
            )
        (alias,) = translated
        lines = ', and '.join(
            conf_files.line('alias', text) for text in alias.lines
        )
        try:
            native = records.native_request(name)
            with records.aliases(alias.lines):
                wanted = records.native_request(name)
        except records.InvalidAliases as error:
            raise extra_specs.Obstacle(
                f'Nova refuses [pci] alias: {error}', 'correct nova.conf'
            ) from error
        if native is None:
            raise extra_specs.Obstacle(
                f'[pci] of nova.conf has no alias {name}', f'write {lines}'
            )
        if _meaning(native) != _meaning(wanted):
            raise extra_specs.Obstacle(
                f'[pci] alias {name} of nova.conf has another meaning than '
                'the PCI flavor',
                f'write {lines} instead',
            )
        return native


def _meaning(native: Any) -> tuple[Any, ...]:
    return (
        sorted(sorted(spec.items()) for spec in native.spec),
        native.numa_policy,
    )


def existing(
    known: Mapping[str, objects.PciFlavor], name: str
) -> objects.PciFlavor:
    """Return a PCI flavor.

    :param known: as of ``by_name_and_uuid``.

    :raises Obstacle: there is no such PCI flavor.
    """
    if name not in known:
        raise extra_specs.Obstacle(
            f'asks for the PCI flavor {name}, which does not exist',
            'create it again, or ask for another one',
        )
    return known[name]
