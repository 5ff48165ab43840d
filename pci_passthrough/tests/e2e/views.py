# SPDX-License-Identifier: Apache-2.0
"""Three views of which instance holds which device.

This project's database is authoritative, Nova's has a row for a device while
an instance holds it, and libvirt has the device in the domain. A view is the
set of held devices by instance, as pairs of host and address.
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
_PCI_FLAVORS: Final = """
    SELECT d.instance_uuid, f.name
    FROM pci_devices d LEFT JOIN pci_flavors f ON f.uuid = d.pci_flavor_uuid
    WHERE d.instance_uuid IS NOT NULL
"""
_NOVAS: Final = """
    SELECT d.instance_uuid, n.host, d.address
    FROM pci_devices d JOIN compute_nodes n ON n.id = d.compute_node_id
    WHERE d.deleted = 0
"""


class Views:
    """Reads the three views of a cloud."""

    def __init__(self, cloud: cloud_module.Cloud) -> None:
        self._cloud = cloud

    def _query(self, database: str, statement: str) -> View:
        with self._cloud.database(database) as connection:
            view: View = {}
            for instance, host, address in connection.execute(
                sa.text(statement)
            ):
                view.setdefault(str(instance), set()).add((host, address))
            return view

    def ours(self) -> View:
        """Return the view of this project's database, including claims."""
        return self._query('pci_passthrough', _OURS)

    def pci_flavors(self) -> dict[str, set[str | None]]:
        """Return the PCI flavors that each instance holds devices by."""
        with self._cloud.database('pci_passthrough') as connection:
            names: dict[str, set[str | None]] = {}
            for instance, name in connection.execute(sa.text(_PCI_FLAVORS)):
                names.setdefault(instance, set()).add(name)
            return names

    def novas(self) -> View:
        """Return the view of Nova's database.

        Rows of devices that are not held have the instance 'None'; there
        should be no such rows, except of devices that Nova itself offers.
        """
        return self._query('nova_cell1', _NOVAS)

    def domains(self) -> View:
        """Return the view of libvirt's domains."""
        view: View = {}
        for name, host in self._cloud.hosts.items():
            for instance, addresses in host.attached().items():
                held = {(name, address) for address in addresses}
                if held:
                    view.setdefault(str(instance), set()).update(held)
        return view

    def ports(self) -> View:
        """Return the devices that Neutron's ports are bound to."""
        view: View = {}
        for port in self._cloud.sdk.network.ports():
            if address := port.binding_profile.get('pci_slot'):
                held = view.setdefault(port.device_id, set())
                held.add((port.binding_host_id, address))
        return view

    def all(self) -> dict[str, View]:
        """Return all three views by name."""
        return {
            'ours': self.ours(),
            "Nova's": self.novas(),
            'domains': self.domains(),
        }

    def states(self) -> dict[tuple[str, str], str]:
        """Return the state of each device in this project's database."""
        return {
            (row['Host'], row['Address']): row['State']
            for row in self._cloud.manage('device', 'list', '-f', 'json')
        }
