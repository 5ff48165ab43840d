# SPDX-License-Identifier: Apache-2.0
"""Who holds which device, as three parties see it.

This project's database is the truth; Nova's has a row for a device while an
instance holds it; libvirt has it in the domain. A view is the set of held
devices of each instance, as pairs of host and address.
"""

from typing import Final

import sqlalchemy as sa

from pci_passthrough.tests.e2e import cloud as cloud_module

View = dict[str, set[tuple[str, str]]]

_OURS: Final = """
    SELECT d.instance_uuid, n.host, d.address
    FROM pci_devices d JOIN compute_nodes n ON n.id = d.compute_node_id
    WHERE d.instance_uuid IS NOT NULL
"""
_NOVAS: Final = """
    SELECT d.instance_uuid, n.host, d.address
    FROM pci_devices d JOIN compute_nodes n ON n.id = d.compute_node_id
    WHERE d.deleted = 0
"""


class Views:
    """Looks at a cloud from the three sides."""

    def __init__(self, cloud: cloud_module.Cloud) -> None:
        self._cloud = cloud

    def _query(self, database: str, statement: str) -> View:
        with self._cloud.database(database) as connection:
            view: View = {}
            for instance, host, address in connection.execute(
                sa.text(statement)
            ):
                view.setdefault(instance, set()).add((host, address))
            return view

    def ours(self) -> View:
        """What this project's database says, claims included."""
        return self._query('pci_passthrough', _OURS)

    def novas(self) -> View:
        """What Nova's database says.

        A row of a device that nobody holds counts as that of instance None:
        there should be none.
        """
        return self._query('nova_cell1', _NOVAS)

    def domains(self) -> View:
        """What the domains on the hosts have."""
        view: View = {}
        for name, host in self._cloud.hosts.items():
            for instance, addresses in host.attached().items():
                held = {(name, address) for address in addresses}
                if held:
                    view.setdefault(instance, set()).update(held)
        return view

    def ports(self) -> View:
        """What Neutron's ports are bound to."""
        view: View = {}
        for port in self._cloud.sdk.network.ports():
            if address := port.binding_profile.get('pci_slot'):
                held = view.setdefault(port.device_id, set())
                held.add((port.binding_host_id, address))
        return view

    def all(self) -> dict[str, View]:
        """Return all of them, by whose they are."""
        return {
            'ours': self.ours(),
            "Nova's": self.novas(),
            'domains': self.domains(),
        }

    def states(self) -> dict[tuple[str, str], str]:
        """Return the state of each device that this project knows."""
        return {
            (row['Host'], row['Address']): row['State']
            for row in self._cloud.manage('device', 'list', '-f', 'json')
        }
