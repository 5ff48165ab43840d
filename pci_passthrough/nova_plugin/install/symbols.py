# SPDX-License-Identifier: Apache-2.0
"""Everything of Nova that this project relies on, and for what.

``verify`` compares each with the releases that the tests run on. A name
which is only imported and called is here as well as one whose code we never
touch, but which must go on to behave as it does.

A function stands for its parameters and its code; a class for its bases, its
attributes and the parameters of its methods.
"""

import dataclasses
import enum


class Use(enum.Enum):
    """What this project does with a symbol."""

    REPLACED = 'replaced'
    OVERRIDDEN = 'overridden'
    CALLED = 'called'
    RELIED_ON = 'relied on'


@dataclasses.dataclass(frozen=True)
class Symbol:
    """A function, class or attribute of Nova.

    :ivar module: where it is defined, not where it is imported.
    :ivar name: in the module, ``Class.method`` for a method.
    :ivar why: what would go wrong if it were otherwise.
    """

    module: str
    name: str
    use: Use
    why: str

    def __str__(self) -> str:
        return f'{self.module}:{self.name}'


def _of(module: str, use: Use, names: dict[str, str]) -> tuple[Symbol, ...]:
    return tuple(Symbol(module, name, use, why) for name, why in names.items())


#: Requests: how extra specs of a flavor become InstancePCIRequests.
_REQUESTS = (
    *_of(
        'nova.pci.request',
        Use.REPLACED,
        {'get_pci_requests_from_flavor': 'turns extra specs into requests'},
    ),
    *_of(
        'nova.objects.request_spec',
        Use.REPLACED,
        {
            'RequestSpec.generate_request_groups_from_pci_requests': (
                'would ask Placement for our requests'
            ),
        },
    ),
    *_of(
        'nova.objects.request_spec',
        Use.RELIED_ON,
        {
            'RequestSpec.from_components': 'keeps the requests as given',
        },
    ),
    *_of(
        'nova.objects.instance_pci_requests',
        Use.CALLED,
        {
            'InstancePCIRequest': 'a request',
            'InstancePCIRequest.fields': 'what a request can carry',
            'InstancePCIRequest.source': 'tells a NIC from an alias',
            'InstancePCIRequests': 'the requests of an instance',
        },
    ),
    *_of(
        'nova.compute.api',
        Use.RELIED_ON,
        {
            'API._validate_flavor_image_numa_pci': (
                'asks for the requests through the module'
            ),
            'API._validate_flavor_image_nostatus': (
                'asks for the requests through the module'
            ),
            'API._validate_and_build_base_options': (
                'asks for the requests through the module'
            ),
            'API.resize': 'asks for the requests through the module',
        },
    ),
    *_of(
        'nova.compute.utils',
        Use.RELIED_ON,
        {
            'update_pci_request_with_placement_allocations': (
                'leaves requests without request groups alone'
            ),
        },
    ),
    *_of(
        'nova.conductor.tasks.live_migrate',
        Use.RELIED_ON,
        {
            'LiveMigrationTask._check_can_migrate_pci': (
                'reads live_migratable of our requests'
            ),
        },
    ),
    *_of(
        'nova.exception',
        Use.CALLED,
        {
            'NovaException': 'our errors are derived from it',
            'ComputeResourcesUnavailable': 'has another host tried',
            'InstanceNotFound': 'it was deleted meanwhile',
            'PciDeviceNotFound': 'there is no such row',
            'PciDeviceRequestFailed': 'ends what the scheduler consumes',
            'PciRequestAliasNotDefined': 'nova-api answers 400',
            'Unauthorized': 'nova-api answers with its code, 503',
            'ValidationError': 'nova-api answers 400',
        },
    ),
    *_of(
        'nova.api.validation.extra_specs.base',
        Use.CALLED,
        {'ExtraSpecValidator': 'describes our extra specs'},
    ),
    *_of(
        'nova.api.validation.extra_specs.validators',
        Use.RELIED_ON,
        {
            'validate': 'calls our validator',
            'load_validators': 'loads it from the entry point',
        },
    ),
)

#: Pools: what a host has left, in the scheduler and in nova-compute.
_STATS = (
    *_of(
        'nova.pci.stats',
        Use.OVERRIDDEN,
        {
            'PciDeviceStats': 'ours is derived from it',
            'PciDeviceStats.support_requests': 'decides for a host',
            'PciDeviceStats.apply_requests': 'takes from the pools',
            'PciDeviceStats.consume_requests': 'takes devices',
            'PciDeviceStats.__iter__': 'tells pools that are stored',
            'PciDeviceStats.to_device_pools_obj': 'stores the pools',
        },
    ),
    *_of(
        'nova.pci.stats',
        Use.RELIED_ON,
        {
            'PciDeviceStats.__init__': 'sets what ours adds to',
            'PciDeviceStats._filter_pools': (
                "matches no pool of Nova's with our requests"
            ),
            'PciDeviceStats._filter_pools_for_spec': (
                "matches no pool of Nova's with our requests"
            ),
            'PciDeviceStats._apply_request': 'takes from the pools',
            'PciDeviceStats._get_rp_uuids_for_request': (
                'restricts no request without request groups'
            ),
            'PciDeviceStats._handle_device_dependents': (
                'keeps a PF from those who want its VFs'
            ),
            'PciDeviceStats.has_remote_managed_device_pools': (
                'reads the pools'
            ),
            'PciDeviceStats.add_device': 'adds to pools',
            'PciDeviceStats.remove_device': 'removes from pools',
        },
    ),
)

#: The scheduler's filter and weigher, and who reads the pools beside them.
_SCHEDULER = (
    *_of(
        'nova.filters',
        Use.OVERRIDDEN,
        {
            'BaseFilter.filter_all': 'ours asks once for all hosts',
        },
    ),
    *_of(
        'nova.filters',
        Use.RELIED_ON,
        {
            'BaseFilter.run_filter_for_index': 'once for each instance',
            'BaseFilterHandler.get_filtered_objects': 'calls filter_all',
        },
    ),
    *_of(
        'nova.scheduler.filters',
        Use.OVERRIDDEN,
        {
            'BaseHostFilter': 'ours is derived from it',
            'BaseHostFilter._filter_one': 'says what rebuilds run',
        },
    ),
    *_of(
        'nova.scheduler.filters.pci_passthrough_filter',
        Use.RELIED_ON,
        {'PciPassthroughFilter.host_passes': 'asks the pools of a host'},
    ),
    *_of(
        'nova.scheduler.filters.numa_topology_filter',
        Use.RELIED_ON,
        {'NUMATopologyFilter.host_passes': 'asks the pools of a host'},
    ),
    *_of(
        'nova.virt.hardware',
        Use.RELIED_ON,
        {'numa_fit_instance_to_host': 'asks the pools for each node'},
    ),
    *_of(
        'nova.objects.numa',
        Use.CALLED,
        {'NUMACell.fields': 'has the socket of a node'},
    ),
    *_of(
        'nova.scheduler.utils',
        Use.CALLED,
        {
            'get_weight_multiplier': 'an aggregate may have its own',
            'request_is_rebuild': 'a rebuild keeps its devices',
        },
    ),
    *_of(
        'nova.scheduler.host_manager',
        Use.RELIED_ON,
        {
            'HostState._locked_consume_from_request': (
                'takes from the pools between two instances of a request'
            ),
            'HostState._update_from_compute_node': 'makes the pools',
            'HostManager._get_host_states': (
                'makes new pools for each request'
            ),
        },
    ),
    *_of(
        'nova.weights',
        Use.OVERRIDDEN,
        {
            'BaseWeigher': 'ours is derived from it',
            'BaseWeigher.weigh_objects': 'normalizes',
        },
    ),
    *_of(
        'nova.scheduler.weights',
        Use.OVERRIDDEN,
        {'BaseHostWeigher': 'ours is derived from it'},
    ),
    *_of(
        'nova.scheduler.weights.pci',
        Use.RELIED_ON,
        {'PCIWeigher._weigh_object': 'counts what the pools have'},
    ),
)

#: The resource tracker: claims, and what they become.
_TRACKER = (
    *_of(
        'nova.pci.manager',
        Use.REPLACED,
        {'PciDevTracker': 'ours is derived from it and takes its place'},
    ),
    *_of(
        'nova.pci.manager',
        Use.OVERRIDDEN,
        {
            'PciDevTracker.__init__': 'reads the rows of the host',
            'PciDevTracker._initial_instance_usage': 'makes the pools',
            'PciDevTracker.save': 'saves the rows',
            'PciDevTracker.claim_instance': 'takes devices',
            'PciDevTracker.allocate_instance': 'gives them to the instance',
            'PciDevTracker.free_device': 'gives one back',
            'PciDevTracker.free_instance_allocations': 'gives them back',
            'PciDevTracker.free_instance_claims': 'gives them back',
            'PciDevTracker.update_pci_for_instance': 'follows an instance',
            'PciDevTracker.clean_usage': 'follows those that are gone',
        },
    ),
    *_of(
        'nova.pci.manager',
        Use.RELIED_ON,
        {
            'PciDevTracker._allocate_instance': 'gives to the instance',
            'PciDevTracker._free_device': 'gives one back',
            'PciDevTracker.free_instance': 'gives all back',
            'PciDevTracker._build_device_tree': 'links PFs and VFs',
            'PciDevTracker._set_hvdevs': 'knows devices by device_spec',
            'PciDevTracker.update_devices_from_hypervisor_resources': (
                'knows devices by device_spec'
            ),
        },
    ),
    *_of(
        'nova.objects.pci_device',
        Use.CALLED,
        {
            'PciDevice.fields': 'the row of a device',
            'PciDevice.create': 'makes a row',
            'PciDevice.update_device': 'keeps our mark in extra_info',
            'PciDevice.save': 'saves or removes the row',
            'PciDevice.claim': 'the states of a row',
            'PciDevice.allocate': 'the states of a row',
            'PciDevice.free': 'the states of a row',
            'PciDevice.remove': 'the states of a row',
        },
    ),
    *_of(
        'nova.objects.fields',
        Use.CALLED,
        {'PciDeviceStatus': 'the states of a row'},
    ),
    *_of(
        'nova.objects.instance',
        Use.RELIED_ON,
        {
            'Instance.apply_migration_context': 'sets requests after moves',
            'Instance.get_pci_devices': 'finds devices by their rows',
            'Instance._load_pci_devices': 'reads rows by status and owner',
        },
    ),
    *_of(
        'nova.objects.instance',
        Use.CALLED,
        {'Instance.get_by_uuid': 'finds out whether it is on its way'},
    ),
    *_of(
        'nova.objects.migration',
        Use.CALLED,
        {'Migration.is_live_migration': 'lets requests stay as they are'},
    ),
    *_of(
        'nova.pci.devspec',
        Use.CALLED,
        {'PciDeviceSpec.match_pci_obj': 'tells which entry has a device'},
    ),
    *_of(
        'nova.objects.migration_context',
        Use.RELIED_ON,
        {
            'MigrationContext.get_pci_mapping_for_migration': (
                'old and new devices of a move'
            ),
        },
    ),
    *_of(
        'nova.compute.claims',
        Use.REPLACED,
        {'Claim._test_pci': 'tests a claim'},
    ),
    *_of(
        'nova.compute.claims',
        Use.RELIED_ON,
        {
            'Claim': 'has what the test looks at',
            'Claim.__init__': 'sets what the test looks at',
            'Claim._claim_test': 'calls the test',
            'Claim._test_numa_topology': 'asks the pools for each node',
            'Claim.abort': 'gives back what was taken',
            'MoveClaim': 'does not test otherwise',
            'MoveClaim._test_numa_topology': 'asks the pools for each node',
            'MoveClaim.abort': 'gives back what was taken',
        },
    ),
    *_of(
        'nova.compute.resource_tracker',
        Use.REPLACED,
        {
            'ResourceTracker._move_claim': (
                'makes the requests of a move anew, by the flavor'
            ),
        },
    ),
    *_of(
        'nova.compute.resource_tracker',
        Use.RELIED_ON,
        {
            'ResourceTracker._setup_pci_tracker': (
                "finds the tracker's class through its module"
            ),
            'ResourceTracker.instance_claim': 'claims for a new instance',
            'ResourceTracker.abort_instance_claim': 'aborts',
            'ResourceTracker.drop_move_claim': 'ends a move',
            'ResourceTracker._drop_move_claim': 'ends a move',
            'ResourceTracker._drop_pci_devices': 'ends a move',
            'ResourceTracker._update_available_resource': (
                'calls clean_usage'
            ),
            'ResourceTracker._update': 'saves the tracker',
            'ResourceTracker.claim_pci_devices': 'claims outside a claim',
            'ResourceTracker.unclaim_pci_devices': 'gives it back',
            'ResourceTracker.allocate_pci_devices_for_instance': (
                'allocates when a move has been claimed'
            ),
            'ResourceTracker.free_pci_device_allocations_for_instance': (
                'gives back after a move'
            ),
            'ResourceTracker.free_pci_device_claims_for_instance': (
                'gives back after a failed move'
            ),
        },
    ),
    *_of(
        'nova.compute.manager',
        Use.RELIED_ON,
        {
            'ComputeManager._flavor_based_pci_claim': (
                'claims for a live migration'
            ),
            'ComputeManager._claim_pci_for_instance_vifs': (
                'claims for a live migration'
            ),
        },
    ),
    *_of(
        'nova.compute.pci_placement_translator',
        Use.RELIED_ON,
        {
            'update_provider_tree_for_pci': (
                "tells Placement of the tracker's pci_devs alone"
            ),
        },
    ),
)

#: NICs: requests, port bindings, interfaces that are attached.
_NETWORK = (
    *_of(
        'nova.network.neutron',
        Use.REPLACED,
        {
            'API.create_resource_requests': 'makes the requests of NICs',
            'API._create_ports_for_instance': 'makes ports for NICs',
            'API._populate_neutron_binding_profile': (
                'says how a port is bound'
            ),
        },
    ),
    *_of(
        'nova.network.neutron',
        Use.CALLED,
        {
            'get_client': 'asks Neutron for ports and networks',
            'API._get_pci_device_profile': 'makes the profile of a binding',
        },
    ),
    *_of(
        'nova.network.neutron',
        Use.RELIED_ON,
        {
            'API._get_vf_pci_device_profile': 'reads facts from our rows',
            'API._populate_pci_mac_address': 'sets the MAC address of a PF',
            'API._populate_neutron_extension_values': (
                'says how a port is bound, and to which host'
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
    *_of(
        'nova.network.model',
        Use.RELIED_ON,
        {'VNIC_TYPES_SRIOV': 'needs devices'},
    ),
    *_of(
        'nova.pci.whitelist',
        Use.REPLACED,
        {'Whitelist.get_devspec': 'has the tags of a device'},
    ),
    *_of(
        'nova.pci.request',
        Use.RELIED_ON,
        {
            'get_instance_pci_request_from_vif': (
                'finds the request of a NIC by the row of its device'
            ),
        },
    ),
    *_of(
        'nova.pci.utils',
        Use.CALLED,
        {
            'get_mac_by_pci_address': 'reads a MAC address',
            'get_vf_num_by_pci_address': 'reads the number of a VF',
        },
    ),
    *_of(
        'nova.exception',
        Use.CALLED,
        {
            'InterfaceAttachPciClaimFailed': 'nova-api answers 400',
            'NetworkNotFound': 'nova-api answers 404',
            'PciDeviceNotFoundById': 'it is no network device',
            'RequestSpecNotFound': 'there is nothing to schedule',
        },
    ),
    *_of(
        'nova.compute.rpcapi',
        Use.REPLACED,
        {
            'ComputeAPI.attach_interface': 'asks for an interface',
            'ComputeAPI.detach_interface': 'asks to take it away',
        },
    ),
    *_of(
        'nova.compute.api',
        Use.RELIED_ON,
        {
            'API.attach_interface': 'has checked the instance by then',
            'API.detach_interface': 'has checked the instance by then',
        },
    ),
    *_of(
        'nova.objects.instance_pci_requests',
        Use.CALLED,
        {
            'InstancePCIRequests.get_by_instance_uuid': (
                'reads what an instance has now'
            ),
        },
    ),
    *_of(
        'nova.objects.request_spec',
        Use.CALLED,
        {
            'RequestSpec.get_by_instance_uuid': 'what is scheduled',
            'RequestSpec.save': 'what is scheduled',
        },
    ),
    *_of(
        'nova.compute.manager',
        Use.REPLACED,
        {
            'ComputeManager._attach_interface': 'attaches an interface',
            'ComputeManager._claim_pci_device_for_interface_attach': (
                'claims its device'
            ),
            'ComputeManager._detach_interface': 'gives its device back',
            'ComputeManager._process_instance_vif_deleted_event': (
                'detaches an interface whose port is gone'
            ),
            'ComputeManager._update_migrate_vifs_profile_with_pci': (
                'binds ports to the new devices of a live migration'
            ),
        },
    ),
    *_of(
        'nova.compute.manager',
        Use.RELIED_ON,
        {
            'ComputeManager._deallocate_port_for_instance': (
                'gives its device back'
            ),
        },
    ),
    *_of(
        'nova.objects.instance',
        Use.CALLED,
        {
            'Instance.get_network_info': 'has the NICs of an instance',
            'Instance.remove_pci_device_and_request': (
                'forgets what is not attached'
            ),
            'Instance._save_pci_requests': 'saves what was changed in place',
        },
    ),
    *_of(
        'nova.api.openstack.compute.attach_interfaces',
        Use.RELIED_ON,
        {
            'InterfaceAttachmentController.create': (
                'answers 400 for our refusals'
            ),
        },
    ),
    *_of(
        'nova.api.openstack.compute.servers',
        Use.RELIED_ON,
        {
            'ServersController._get_requested_networks': (
                'keeps the order of networks'
            ),
        },
    ),
    *_of(
        'nova.context',
        Use.REPLACED,
        {
            'RequestContext.to_dict': 'what travels of a request',
            'RequestContext.from_dict': 'what arrives of a request',
        },
    ),
)

SYMBOLS = (*_REQUESTS, *_STATS, *_SCHEDULER, *_TRACKER, *_NETWORK)
