# SPDX-License-Identifier: Apache-2.0
"""Nova's Neutron fixture, with the behaviour of the SR-IOV ML2 driver.

The fixture has a fixed port on most networks. Here ports are created with the
requested vNIC type, and get their VIF type when they are bound to a host.
"""

import copy
import itertools
from typing import Any

from nova import exception as nova_exception
from nova.tests.functional.libvirt import base as libvirt_base
from oslo_utils import uuidutils

#: vNIC type to VIF type, as in ``neutron.plugins.ml2.drivers.mech_sriov``.
_VIF_TYPES = {
    'normal': 'ovs',
    'direct': 'hw_veb',
    'macvtap': 'hw_veb',
    'direct-physical': 'hostdev_physical',
    'vdpa': 'ovs',
}

_VLAN = '42'

_macs = itertools.count(1)


class NicNeutron(libvirt_base.LibvirtNeutronFixture):
    """Networks with several physical networks, and ports of all vNIC types.

    :ivar red: id of a VLAN network on ``physnet-red``.
    :ivar blue: id of a VLAN network on ``physnet-blue``.
    :ivar both: id of a network with a segment on each of them, and an overlay.
    :ivar overlay: id of a VXLAN network.
    """

    def __init__(self, test: Any) -> None:
        super().__init__(test)
        self.red = self._network('red', 'physnet-red')
        self.blue = self._network('blue', 'physnet-blue')
        self.both = self._network('both', None)
        for key in list(self._networks[self.both]):
            if key.startswith('provider:'):
                del self._networks[self.both][key]
        self._networks[self.both]['segments'] = [
            {
                'provider:network_type': kind,
                'provider:physical_network': name,
                'provider:segmentation_id': number,
            }
            for kind, name, number in (
                ('vxlan', None, 5000),
                ('vlan', 'physnet-red', 100),
                ('vlan', 'physnet-blue', 200),
            )
        ]
        self.overlay = self._network('overlay', None)

    def _network(self, name: str, physical_network: str | None) -> str:
        network_id = str(uuidutils.generate_uuid())
        subnet = copy.deepcopy(self.subnet_1)
        subnet['id'] = str(uuidutils.generate_uuid())
        subnet['network_id'] = network_id
        network = {
            **copy.deepcopy(self.network_1),
            'id': network_id,
            'name': name,
            'subnets': [subnet],
            'provider:physical_network': physical_network,
            'provider:network_type': 'vlan' if physical_network else 'vxlan',
        }
        self._networks[network_id] = network
        return network_id

    def physical_networks(self, network_id: str) -> set[str | None]:
        """Return the physical networks that a device may be on; or {None}."""
        network = self._networks[network_id]
        names = {
            segment.get('provider:physical_network')
            for segment in network.get('segments', [network])
        }
        return names - {None} or {None}

    def list_extensions(self, *args: Any, **kwargs: Any) -> Any:
        """Add the extension for networks with several segments."""
        extensions = super().list_extensions(*args, **kwargs)
        extension = {'alias': 'multi-provider', 'name': 'Multi Provider'}
        extensions['extensions'].append({'description': '', **extension})
        return extensions

    def port(
        self,
        network: str,
        vnic_type: str = 'direct',
        *tags: str,
        **values: Any,
    ) -> dict[str, Any]:
        """Create a port as a user does.

        :param values: further attributes of the port.
        """
        created: dict[str, Any] = self.create_port(
            {
                'port': {
                    'network_id': network,
                    'binding:vnic_type': vnic_type,
                    'tags': list(tags),
                    **values,
                }
            }
        )['port']
        return created

    def create_port(self, body: Any = None) -> Any:
        """Create an unbound port of the requested vNIC type."""
        number = next(_macs)
        subnet = self._networks[body['port']['network_id']]['subnets'][0]
        port = {
            'id': str(uuidutils.generate_uuid()),
            'status': 'ACTIVE',
            'admin_state_up': True,
            'tenant_id': self.tenant_id,
            'mac_address': _mac(number),
            'fixed_ips': [
                {
                    'ip_address': f'192.168.1.{number % 250 + 3}',
                    'subnet_id': subnet['id'],
                }
            ],
            'tags': [],
            'binding:vif_details': {},
            'binding:vif_type': 'unbound',
            'binding:vnic_type': 'normal',
            'binding:profile': {},
            **body['port'],
        }
        self._ports[port['id']] = port
        return {'port': copy.deepcopy(port)}

    def update_port(self, port_id: str, body: Any = None) -> Any:
        """Update a port; bind it if the update has a host.

        Its active binding moves to that host.
        """
        values = dict(body['port'])
        if values.get('binding:host_id'):
            host, _ = self._get_active_binding(port_id)
            self._port_bindings[port_id].pop(host, None)
            vnic_type = values.get(
                'binding:vnic_type', self._ports[port_id]['binding:vnic_type']
            )
            values['binding:vif_type'] = _VIF_TYPES[vnic_type]
            if values['binding:vif_type'] != 'ovs':
                values['binding:vif_details'] = {'vlan': _VLAN}
        elif 'binding:host_id' in values and self._has_device_mac(port_id):
            values['mac_address'] = _mac(next(_macs))
        return super().update_port(port_id, {'port': values})

    def _has_device_mac(self, port_id: str) -> bool:
        port = self._ports[port_id]
        return bool(port['binding:vnic_type'] == 'direct-physical')

    def _merge_in_active_binding(self, port: Any) -> None:
        """Give the port of a PF the PF's MAC address, too.

        See ``Ml2Plugin._commit_port_binding``.
        """
        super()._merge_in_active_binding(port)
        if port['binding:vnic_type'] == 'direct-physical':
            profile = port['binding:profile'] or {}
            mac = profile.get('device_mac_address', port['mac_address'])
            port['mac_address'] = mac

    def show_port(self, port_id: str, **params: Any) -> Any:
        """Show a port to its owner and to administrators."""
        shown = super().show_port(port_id, **params)
        owner = shown['port']['tenant_id']
        if not params.get('is_admin', True) and owner != self.tenant_id:
            raise nova_exception.PortNotFound(port_id=port_id)
        return shown

    def hosts_of(self, port_id: str) -> set[str]:
        """Return the hosts that a port has bindings on, active or not."""
        return set(self._port_bindings[port_id])

    def ports_of(self, server_id: str) -> list[dict[str, Any]]:
        """Return the ports of a server, as an administrator sees them."""
        ports: list[dict[str, Any]] = self.list_ports(
            True, device_id=server_id
        )['ports']
        return ports


def _mac(number: int) -> str:
    return f'52:54:00:00:{number >> 8:02x}:{number & 255:02x}'
