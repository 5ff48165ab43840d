# SPDX-License-Identifier: Apache-2.0
"""A cloud with SR-IOV NICs on two physical networks."""

from collections.abc import Mapping
from typing import Any

import fixtures
from nova.tests.fixtures import libvirt as fakelibvirt
from oslo_serialization import jsonutils

from pci_passthrough import objects
from pci_passthrough.nova_plugin.compute import attachment
from pci_passthrough.store.devices import lookup
from pci_passthrough.tests.nova import base
from pci_passthrough.tests.nova import guest_nics
from pci_passthrough.tests.nova import neutron

VF = {'product_id': fakelibvirt.VF_PROD_ID, 'dev_type': 'type-VF'}
PF = {'product_id': fakelibvirt.PF_PROD_ID, 'dev_type': 'type-PF'}

#: Slot of a physical function to its physical network. The VFs of a PF are
#: the other functions of its slot. Slot 2 is on no physical network.
_NETWORKS = {0: 'physnet-red', 1: 'physnet-blue'}

#: Slot of the first device without SR-IOV.
_GPU_SLOT = 8


class NicsTest(base.NovaTest):
    """Tests with three PFs per host: on red, on blue, and on no network.

    :ivar net: the Neutron fixture.
    """

    PCI_DEVICE_SPEC: list[str] = []

    def setUp(self) -> None:
        super().setUp()
        self.net = self.useFixture(neutron.NicNeutron(self))
        self.neutron = self.net
        self.create_pci_flavor('10g', VF, vnic_type='direct')

    def start_nic_host(
        self,
        name: str,
        vfs: int = 2,
        bus: int = 0x81,
        gpus: int = 0,
        vdpa: bool = False,
        **tags: str,
    ) -> None:
        """Start a host with all devices on NUMA node 0.

        :param vfs: number of VFs of each PF.
        :param gpus: number of devices without SR-IOV.
        :param vdpa: whether the VFs on blue have vDPA devices.
        :param tags: further extra info of all devices.
        """
        info = fakelibvirt.HostPCIDevicesInfo(
            num_pfs=3, num_vfs=3 * vfs, bus=bus, numa_node=0
        )
        for number in range(gpus):
            info.add_device(
                dev_type='PCI',
                bus=bus,
                slot=_GPU_SLOT + number,
                function=0,
                iommu_group=100 + number,
                numa_node=0,
            )
        devices = base.offered(info)
        for device in devices:
            device.extra_info = {**tags_of(device.address), **tags}
        vdpa_info = fakelibvirt.HostVDPADevicesInfo()
        if vdpa:
            _add_vdpa(vdpa_info, info, devices)
        self.report(name, devices)
        self.start_compute(hostname=name, pci_info=info, vdpa_info=vdpa_info)

    def distinguish_devices(self) -> None:
        """Give each device facts of its own; Nova's fixtures have one value.

        See ``mac_of``, ``number_of``, ``netdev_of``, ``guest_nics``.
        """
        self.useFixture(guest_nics.GuestNics())
        for name, value in (
            ('mac', lambda address, pf_interface=False: mac_of(address)),
            ('vf_num', number_of),
            ('ifname', netdev_of),
        ):
            path = f'nova.pci.utils.get_{name}_by_pci_address'
            self.useFixture(fixtures.MonkeyPatch(path, value))

    def boot_with(
        self, *nics: Mapping[str, Any], **arguments: Any
    ) -> dict[str, Any]:
        """Create a server with NICs and wait until it is active."""
        return self.boot(None, networks=list(nics), **arguments)

    def nic(self, network: str, pci_flavor: str = '10g') -> dict[str, str]:
        """Return a NIC as in a request to Nova's API."""
        return {'uuid': network, 'pci_flavor': pci_flavor}

    def ports(self, server: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the ports of a server in the order of its NICs."""
        vifs = self.instance(server).get_network_info()
        ports = {port['id']: port for port in self.net.ports_of(server['id'])}
        self.assertEqual(sorted(ports), sorted(vif['id'] for vif in vifs))
        return [ports[vif['id']] for vif in vifs]

    def interfaces(
        self, host: str, server: Mapping[str, Any]
    ) -> list[tuple[str, str, str]]:
        """Return type, MAC address and device of a guest's interfaces.

        The fixture keeps the device, but its XML does not show it.
        """
        guest = self.computes[host].driver._host.get_guest(
            self.instance(server)
        )
        return [
            (nic['type'], nic['mac'], _address(nic.get('source') or ''))
            for nic in guest._domain._def['devices']['nics']
        ]

    def assert_nics(
        self, host: str, server: Mapping[str, Any]
    ) -> dict[str, str]:
        """Check that each port has its claimed device, on its network.

        For tests that call ``distinguish_devices``. The order of interfaces
        is not checked: a move puts those that it detaches at the end.

        :returns: id of a port to address of its device.
        """
        instance = self.instance(server)
        requests = {
            request.requester_id: request.request_id
            for request in instance.pci_requests.requests
        }
        devices = {
            device.address: device for device in lookup.get_all(self.db, host)
        }
        addresses = {}
        interfaces = []
        for port in self.ports(server):
            self.assertEqual(host, port['binding:host_id'])
            self.assertEqual({host}, self.net.hosts_of(port['id']))
            address = self.profile(port).get('pci_slot', '')
            mac = port['mac_address']
            if port['binding:vnic_type'] == 'normal':
                self.assertEqual('', address)
                interfaces.append(('ethernet', mac, ''))
                continue
            device = devices[address]
            self.assertEqual(
                ('allocated', server['id'], requests[port['id']]),
                (
                    device.status,
                    device.instance_uuid,
                    attachment.request_of(str(device.request_id)),
                ),
            )
            self.assertIn(
                device.extra_info.get('physical_network'),
                self.net.physical_networks(port['network_id']),
            )
            self.assertEqual(profile_of(device), self.profile(port))
            addresses[port['id']] = address
            if device.dev_type == 'type-PF':
                self.assertEqual(mac_of(address), mac)
                self.assertIn(address, self.hostdevs(host, server))
            else:
                kind, source = _interface(port, address)
                interfaces.append((kind, mac, source))
        self.assertCountEqual(interfaces, self.interfaces(host, server))
        return addresses

    def profile(self, port: Mapping[str, Any]) -> dict[str, Any]:
        """Return the binding profile of a port."""
        profile = port['binding:profile']
        return dict(
            jsonutils.loads(profile) if isinstance(profile, str) else profile
        )


def _address(source: str) -> str:
    """Return the address of ``pci_0000_81_01_1``; another source unchanged."""
    kind, *parts = source.split('_')
    if kind != 'pci':
        return source
    domain, bus, slot, function = parts
    return f'{domain}:{bus}:{slot}.{function}'


def tags_of(address: str) -> dict[str, str]:
    """Return the extra info of a device."""
    slot = int(address.split(':')[2].partition('.')[0], 16)
    network = _NETWORKS.get(slot)
    return {'physical_network': network} if network else {}


def _add_vdpa(
    vdpa: fakelibvirt.HostVDPADevicesInfo,
    info: fakelibvirt.HostPCIDevicesInfo,
    devices: list[objects.PciDevice],
) -> None:
    """Turn the VFs on blue into vDPA devices, for Nova and for the agent."""
    fakes = {fake.address: fake for fake in info.devices.values()}
    for device in devices:
        blue = device.extra_info.get('physical_network') == 'physnet-blue'
        if blue and device.dev_type == 'type-VF':
            device.dev_type = 'vdpa'
            number = number_of(device.address)
            fake = fakes[device.address]
            vdpa.add_device(f'vdpa_vdpa{number}', number, fake)


def _interface(port: Mapping[str, Any], address: str) -> tuple[str, str]:
    """Return type and source of the interface for a VF, as in the fixture."""
    kinds = {
        'direct': ('hostdev', address),
        # The fixture does not keep the device of a macvtap interface.
        'macvtap': ('direct', ''),
        'vdpa': ('vdpa', f'/dev/vhost-vdpa-{number_of(address)}'),
    }
    return kinds[port['binding:vnic_type']]


def mac_of(address: str) -> str:
    """Return the MAC address of a PF."""
    return '52:54:' + address[2:].replace('.', ':0')


def number_of(address: str) -> int:
    """Return the number of a VF."""
    return int(address[-1]) - 1


def netdev_of(address: str, pf_interface: bool = False) -> str:
    """Return the name of the host's interface of a device, or of its PF."""
    return f'{"pf" if pf_interface else "vf"} {address}'


def profile_of(device: objects.PciDevice) -> dict[str, Any]:
    """Return the binding profile of a port with a device."""
    known = {
        'pci_slot': device.address,
        'pci_vendor_info': f'{device.vendor_id}:{device.product_id}',
        'physical_network': device.extra_info.get('physical_network'),
    }
    if device.dev_type == 'type-PF':
        return {**known, 'device_mac_address': mac_of(device.address)}
    if device.dev_type == 'vdpa':
        return known
    return {
        **known,
        'pf_mac_address': mac_of(str(device.parent_addr)),
        'vf_num': number_of(device.address),
    }
