# SPDX-License-Identifier: Apache-2.0
"""Symbols of Nova around NICs: port bindings and attached interfaces."""

from pci_passthrough.nova_plugin.install.symbols import symbol

SYMBOLS = (
    *symbol.listed(
        'nova.network.neutron',
        symbol.Use.CALLED,
        {
            'get_client': 'makes a client of Neutron',
            'API._get_pci_device_profile': 'makes the profile of a binding',
        },
    ),
    *symbol.listed(
        'nova.network.neutron',
        symbol.Use.RELIED_ON,
        {
            'API._get_vf_pci_device_profile': 'reads facts from rows',
            'API._populate_pci_mac_address': 'sets the MAC address of a PF',
            'API._populate_neutron_extension_values': (
                'binds a port to a host'
            ),
            'API._update_ports_for_instance': 'binds ports with one update',
            'API._get_port_pci_dev': (
                'finds the device of a port by the request'
            ),
            'API._update_port_binding_for_instance': (
                'binds ports to the new devices of a move'
            ),
        },
    ),
    *symbol.listed(
        'nova.network.model',
        symbol.Use.RELIED_ON,
        {'VNIC_TYPES_SRIOV': 'lists the vNIC types that need devices'},
    ),
    *symbol.listed(
        'nova.pci.request',
        symbol.Use.RELIED_ON,
        {
            'get_instance_pci_request_from_vif': (
                'finds the request of a NIC by the row of its device'
            ),
        },
    ),
    *symbol.listed(
        'nova.pci.utils',
        symbol.Use.CALLED,
        {
            'get_mac_by_pci_address': 'reads a MAC address',
            'get_vf_num_by_pci_address': 'reads the number of a VF',
        },
    ),
    *symbol.listed(
        'nova.exception',
        symbol.Use.CALLED,
        {
            'InterfaceAttachPciClaimFailed': 'nova-api answers 400',
            'NetworkNotFound': 'nova-api answers 404',
            'PciDeviceNotFoundById': 'the device is no network device',
            'RequestSpecNotFound': 'the instance has no request spec',
        },
    ),
    *symbol.listed(
        'nova.compute.api',
        symbol.Use.RELIED_ON,
        {
            'API.attach_interface': 'checks the instance before',
            'API.detach_interface': 'checks the instance before',
        },
    ),
    *symbol.listed(
        'nova.objects.instance_pci_requests',
        symbol.Use.CALLED,
        {
            'InstancePCIRequests.get_by_instance_uuid': (
                'reads the requests of an instance'
            ),
        },
    ),
    *symbol.listed(
        'nova.objects.request_spec',
        symbol.Use.CALLED,
        {
            'RequestSpec.get_by_instance_uuid': (
                "reads or saves the scheduler's request"
            ),
            'RequestSpec.save': "reads or saves the scheduler's request",
        },
    ),
    *symbol.listed(
        'nova.compute.manager',
        symbol.Use.RELIED_ON,
        {
            'ComputeManager._deallocate_port_for_instance': (
                'frees the device of an interface'
            ),
        },
    ),
    *symbol.listed(
        'nova.objects.instance',
        symbol.Use.CALLED,
        {
            'Instance.get_network_info': 'has the NICs of an instance',
            'Instance.remove_pci_device_and_request': (
                'removes a device that is not attached'
            ),
            'Instance._save_pci_requests': (
                'saves requests that were changed in place'
            ),
        },
    ),
    *symbol.listed(
        'nova.api.openstack.compute.attach_interfaces',
        symbol.Use.RELIED_ON,
        {
            'InterfaceAttachmentController.create': (
                'answers 400 for a refused interface'
            ),
        },
    ),
    *symbol.listed(
        'nova.api.openstack.compute.servers',
        symbol.Use.RELIED_ON,
        {
            'ServersController._get_requested_networks': (
                'keeps the order of networks'
            ),
        },
    ),
)
