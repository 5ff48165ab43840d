# SPDX-License-Identifier: Apache-2.0
"""Symbols of Nova around requests: extra specs become InstancePCIRequests."""

from pci_passthrough.nova_plugin.install.symbols import symbol

SYMBOLS = (
    *symbol.listed(
        'nova.objects.request_spec',
        symbol.Use.RELIED_ON,
        {
            'RequestSpec.from_components': 'keeps the requests that it gets',
        },
    ),
    *symbol.listed(
        'nova.virt.hardware',
        symbol.Use.CALLED,
        {'numa_get_constraints': 'makes the NUMA topology of a flavor'},
    ),
    *symbol.listed(
        'nova.objects.host_mapping',
        symbol.Use.CALLED,
        {'HostMapping.get_by_host': 'finds the cell of a host'},
    ),
    *symbol.listed(
        'nova.conductor.tasks.migrate',
        symbol.Use.RELIED_ON,
        {
            'MigrationTask._execute': (
                'prepares the request spec before it calls the scheduler'
            ),
        },
    ),
    *symbol.listed(
        'nova.conductor.tasks.live_migrate',
        symbol.Use.RELIED_ON,
        {
            'LiveMigrationTask._get_request_spec_for_select_destinations': (
                'prepares the request spec before it calls the scheduler'
            ),
        },
    ),
    *symbol.listed(
        'nova.conductor.manager',
        symbol.Use.RELIED_ON,
        {
            'ComputeTaskManager._get_request_spec_for_cold_migrate': (
                "sets the spec's flavor to that of the resize"
            ),
            'ComputeTaskManager._restrict_request_spec_to_cell': (
                'keeps a moving instance in its cell'
            ),
            'ComputeTaskManager.unshelve_instance': (
                'prepares the request spec before it calls the scheduler'
            ),
            'ComputeTaskManager.rebuild_instance': (
                'prepares the request spec before it calls the scheduler'
            ),
        },
    ),
    *symbol.listed(
        'nova.objects.instance_pci_requests',
        symbol.Use.CALLED,
        {
            'InstancePCIRequest': 'a request',
            'InstancePCIRequest.fields': 'what a request can carry',
            'InstancePCIRequest.source': 'tells a NIC from an alias',
            'InstancePCIRequests': 'the requests of an instance',
        },
    ),
    *symbol.listed(
        'nova.compute.api',
        symbol.Use.RELIED_ON,
        {
            'API._validate_flavor_image_numa_pci': (
                'makes the requests by a name of the module'
            ),
            'API._validate_flavor_image_nostatus': (
                'makes the requests by a name of the module'
            ),
            'API._validate_and_build_base_options': (
                'makes the requests by a name of the module'
            ),
            'API.resize': 'makes the requests by a name of the module',
        },
    ),
    *symbol.listed(
        'nova.compute.utils',
        symbol.Use.RELIED_ON,
        {
            'update_pci_request_with_placement_allocations': (
                'leaves requests without request groups alone'
            ),
        },
    ),
    *symbol.listed(
        'nova.conductor.tasks.live_migrate',
        symbol.Use.RELIED_ON,
        {
            'LiveMigrationTask._check_can_migrate_pci': (
                'reads live_migratable of requests'
            ),
        },
    ),
    *symbol.listed(
        'nova.exception',
        symbol.Use.CALLED,
        {
            'NovaException': 'errors of the Nova plugin are derived from it',
            'ComputeResourcesUnavailable': 'Nova tries another host',
            'InstanceNotFound': 'the instance was deleted',
            'PciDeviceNotFound': 'the row was deleted',
            'PciDeviceRequestFailed': 'ends the consumption in the scheduler',
            'PciRequestAliasNotDefined': 'nova-api answers 400',
            'PortLimitExceeded': 'nova-api answers 403',
            'Unauthorized': 'nova-api answers with its code, 503',
            'ValidationError': 'nova-api answers 400',
        },
    ),
    *symbol.listed(
        'nova.api.validation.extra_specs.base',
        symbol.Use.CALLED,
        {'ExtraSpecValidator': 'describes extra specs'},
    ),
    *symbol.listed(
        'nova.api.validation.extra_specs.validators',
        symbol.Use.RELIED_ON,
        {
            'validate': 'calls the validator of extra specs',
            'load_validators': 'loads the validator from its entry point',
        },
    ),
)
