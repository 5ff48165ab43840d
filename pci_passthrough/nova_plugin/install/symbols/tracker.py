# SPDX-License-Identifier: Apache-2.0
"""Symbols of the resource tracker: claims, allocations and rows."""

from pci_passthrough.nova_plugin.install.symbols import symbol

SYMBOLS = (
    *symbol.listed(
        'nova.pci.manager',
        symbol.Use.OVERRIDDEN,
        {
            'PciDevTracker.__init__': 'reads the rows of the host',
            'PciDevTracker._initial_instance_usage': 'makes the pools',
            'PciDevTracker.save': 'saves the rows',
            'PciDevTracker.claim_instance': 'claims devices',
            'PciDevTracker.allocate_instance': 'allocates devices',
            'PciDevTracker.free_device': 'frees a device',
            'PciDevTracker.free_instance_allocations': 'frees devices',
            'PciDevTracker.free_instance_claims': 'frees devices',
            'PciDevTracker.update_pci_for_instance': (
                "allocates or frees by an instance's state"
            ),
            'PciDevTracker.clean_usage': (
                'frees devices of instances that are gone'
            ),
        },
    ),
    *symbol.listed(
        'nova.pci.manager',
        symbol.Use.RELIED_ON,
        {
            'PciDevTracker._allocate_instance': 'allocates devices',
            'PciDevTracker._free_device': 'frees a device',
            'PciDevTracker.free_instance': 'frees all devices of an instance',
            'PciDevTracker._build_device_tree': 'links PFs and VFs',
            'PciDevTracker._set_hvdevs': 'compares devices with device_spec',
            'PciDevTracker.update_devices_from_hypervisor_resources': (
                'compares devices with device_spec'
            ),
        },
    ),
    *symbol.listed(
        'nova.objects.pci_device',
        symbol.Use.CALLED,
        {
            'PciDevice.fields': 'the row of a device',
            'PciDevice.create': 'makes a row',
            'PciDevice.update_device': 'keeps the marks in extra_info',
            'PciDevice.save': 'saves or removes the row',
            'PciDevice.claim': 'changes the state of a row',
            'PciDevice.allocate': 'changes the state of a row',
            'PciDevice.free': 'changes the state of a row',
            'PciDevice.remove': 'changes the state of a row',
        },
    ),
    *symbol.listed(
        'nova.objects.fields',
        symbol.Use.CALLED,
        {'PciDeviceStatus': 'changes the state of a row'},
    ),
    *symbol.listed(
        'nova.objects.instance',
        symbol.Use.RELIED_ON,
        {
            'Instance.apply_migration_context': (
                'sets the requests after a move'
            ),
            'Instance.get_pci_devices': 'finds devices by their rows',
            'Instance._load_pci_devices': 'reads rows by status and owner',
        },
    ),
    *symbol.listed(
        'nova.objects.instance',
        symbol.Use.CALLED,
        {'Instance.get_by_uuid': 'reads where an instance is'},
    ),
    *symbol.listed(
        'nova.objects.migration',
        symbol.Use.RELIED_ON,
        {
            'MigrationList.get_in_progress_and_error': (
                'returns moves that have failed'
            ),
        },
    ),
    *symbol.listed(
        'nova.virt.libvirt.driver',
        symbol.Use.CALLED,
        {
            'LibvirtDriver.get_info': (
                "finds a guest by the instance's UUID alone"
            ),
        },
    ),
    *symbol.listed(
        'nova.compute.task_states',
        symbol.Use.CALLED,
        {
            'MIGRATING': 'the instance is being migrated live',
            'RESIZE_PREP': 'the instance is being resized',
            'UNSHELVING': 'the instance is being unshelved',
        },
    ),
    *symbol.listed(
        'nova.compute.vm_states',
        symbol.Use.CALLED,
        {'ERROR': 'an operator has to decide where the instance is'},
    ),
    *symbol.listed(
        'nova.compute.power_state',
        symbol.Use.CALLED,
        {
            'SHUTDOWN': 'the guest is not running',
            'CRASHED': 'the guest is not running',
        },
    ),
    *symbol.listed(
        'nova.objects.migration',
        symbol.Use.CALLED,
        {
            'Migration.is_live_migration': (
                'recognizes a migration that keeps requests'
            ),
        },
    ),
    *symbol.listed(
        'nova.pci.devspec',
        symbol.Use.CALLED,
        {'PciDeviceSpec.match_pci_obj': 'matches a device with an entry'},
    ),
    *symbol.listed(
        'nova.objects.migration_context',
        symbol.Use.RELIED_ON,
        {
            'MigrationContext.get_pci_mapping_for_migration': (
                'old and new devices of a move'
            ),
        },
    ),
    *symbol.listed(
        'nova.compute.claims',
        symbol.Use.RELIED_ON,
        {
            'Claim': 'has the attributes that the test reads',
            'Claim.__init__': 'sets the attributes that the test reads',
            'Claim._claim_test': 'calls the test',
            'Claim._test_numa_topology': 'asks the pools for each node',
            'Claim.abort': 'frees what was claimed',
            'MoveClaim': 'does not override the test',
            'MoveClaim._test_numa_topology': 'asks the pools for each node',
            'MoveClaim.abort': 'frees what was claimed',
        },
    ),
    *symbol.listed(
        'nova.compute.resource_tracker',
        symbol.Use.RELIED_ON,
        {
            'ResourceTracker.instance_claim': 'claims for a new instance',
            'ResourceTracker.abort_instance_claim': 'aborts a claim',
            'ResourceTracker.drop_move_claim': 'ends a move',
            'ResourceTracker._drop_move_claim': 'ends a move',
            'ResourceTracker._update_available_resource': (
                'calls clean_usage'
            ),
            'ResourceTracker._update': 'saves the tracker',
            'ResourceTracker.claim_pci_devices': 'claims for an interface',
            'ResourceTracker.unclaim_pci_devices': (
                'frees the device of an interface'
            ),
            'ResourceTracker.allocate_pci_devices_for_instance': (
                'allocates when a move has been claimed'
            ),
            'ResourceTracker.free_pci_device_allocations_for_instance': (
                'frees allocations after a move'
            ),
            'ResourceTracker.free_pci_device_claims_for_instance': (
                'frees claims after a failed move'
            ),
        },
    ),
    *symbol.listed(
        'nova.compute.manager',
        symbol.Use.RELIED_ON,
        {
            'ComputeManager._flavor_based_pci_claim': (
                'claims for a live migration'
            ),
            'ComputeManager._claim_pci_for_instance_vifs': (
                'claims for a live migration'
            ),
            'ComputeVirtAPI.__init__': (
                "leads from a virt driver to its nova-compute's host"
            ),
        },
    ),
    *symbol.listed(
        'nova.virt.libvirt.config',
        symbol.Use.CALLED,
        {
            'LibvirtConfigGuestDevice': (
                'a device in the description of a guest'
            ),
            'LibvirtConfigGuestUSBHostController': (
                'enables the USB controller of a guest with USB devices'
            ),
        },
    ),
    *symbol.listed(
        'nova.virt.libvirt.config',
        symbol.Use.RELIED_ON,
        {
            'LibvirtConfigGuest.add_device': 'adds a device of a guest',
            'LibvirtConfigObject.to_xml': "makes the domain's XML",
            'LibvirtConfigGuestUSBHostController.__init__': (
                'has the attribute model'
            ),
        },
    ),
    *symbol.listed(
        'nova.virt.libvirt.driver',
        symbol.Use.RELIED_ON,
        {
            'LibvirtDriver._get_guest_xml': 'describes a guest in its start',
            'LibvirtDriver._get_all_assigned_mediated_devices': (
                'collects the mediated devices of a domain that exists'
            ),
            'LibvirtDriver._get_supported_vgpu_types': (
                'reads which mediated devices Nova makes'
            ),
            'LibvirtDriver._get_existing_mdevs_not_assigned': (
                'takes mediated devices of its GPUs only'
            ),
        },
    ),
    *symbol.listed(
        'nova.conf.devices',
        symbol.Use.RELIED_ON,
        {'register_dynamic_opts': 'registers the addresses of GPUs'},
    ),
    *symbol.listed(
        'nova.virt.driver',
        symbol.Use.RELIED_ON,
        {'ComputeDriver.__init__': "keeps the compute manager's VirtAPI"},
    ),
    *symbol.listed(
        'nova.compute.pci_placement_translator',
        symbol.Use.RELIED_ON,
        {
            'update_provider_tree_for_pci': (
                'reports only pci_devs to Placement'
            ),
        },
    ),
)
