# SPDX-License-Identifier: Apache-2.0
"""The functions and the class of Nova that this project replaces.

``bootstrap`` replaces them, and ``symbols`` has ``verify`` compare them with
the tested releases of Nova.
"""

import dataclasses
import importlib
from typing import Any

#: The package that the paths in ``Replacement.by`` begin in.
_PACKAGE = 'pci_passthrough.nova_plugin'


@dataclasses.dataclass(frozen=True)
class Replacement:
    """A function or class of Nova, and the code that replaces it.

    :ivar module: the module of Nova that defines it.
    :ivar name: its name in the module, ``Class.method`` for a method.
    :ivar why: the purpose of Nova's code, for a message that it has changed.
    :ivar by: path of the replacement in ``pci_passthrough.nova_plugin``. Of a
        function it is called with the original, and returns the replacement;
        a class is the replacement.
    :ivar is_class: whether it is a class.
    """

    module: str
    name: str
    why: str
    by: str
    is_class: bool = False

    def __str__(self) -> str:
        return f'{self.module}:{self.name}'

    def load(self) -> Any:
        """Import the replacement."""
        module, _, attribute = self.by.rpartition('.')
        return getattr(
            importlib.import_module(f'{_PACKAGE}.{module}'), attribute
        )


REPLACEMENTS = (
    Replacement(
        'nova.pci.request',
        'get_pci_requests_from_flavor',
        'turns extra specs into requests',
        'flavor_requests.wrap_get_pci_requests_from_flavor',
    ),
    Replacement(
        'nova.objects.request_spec',
        'RequestSpec.generate_request_groups_from_pci_requests',
        'would ask Placement for PCI flavors',
        'flavor_requests.wrap_generate_request_groups',
    ),
    Replacement(
        'nova.objects.request_spec',
        'RequestSpec.ensure_network_information',
        'prepares the request spec of an instance for a move',
        'request_specs.wrap_ensure_network_information',
    ),
    Replacement(
        'nova.compute.api',
        'API._provision_instances',
        'checks the quotas of new servers, and creates them',
        'quotas.wrap_provision_instances',
    ),
    Replacement(
        'nova.compute.api',
        'API._check_quota_for_upsize',
        'checks the quotas of a resize',
        'quotas.wrap_check_quota_for_upsize',
    ),
    Replacement(
        'nova.conductor.tasks.migrate',
        'MigrationTask._set_requested_destination_cell',
        'keeps a moving instance in its cell, or not',
        'cross_cell.wrap_set_requested_destination_cell',
    ),
    Replacement(
        'nova.compute.resource_tracker',
        'ResourceTracker._move_claim',
        'makes the requests of a move again, from the flavor',
        'flavor_requests.wrap_move_claim',
    ),
    Replacement(
        'nova.compute.resource_tracker',
        'ResourceTracker._drop_pci_devices',
        'frees the devices of one side of a move',
        'compute.move_requests.wrap_drop_pci_devices',
    ),
    Replacement(
        'nova.compute.resource_tracker',
        'ResourceTracker._setup_pci_tracker',
        'makes the PCI device tracker',
        'compute.driver_use.wrap_setup_pci_tracker',
    ),
    Replacement(
        'nova.pci.manager',
        'PciDevTracker',
        'PciFlavorDevTracker is derived from it',
        'compute.tracker.PciFlavorDevTracker',
        is_class=True,
    ),
    Replacement(
        'nova.compute.claims',
        'Claim._test_pci',
        'tests a claim',
        'compute.claim_test.wrap_test_pci',
    ),
    Replacement(
        'nova.scheduler.host_manager',
        'HostManager.__init__',
        'makes the filters and weighers',
        'scheduler_lists.wrap_init',
    ),
    Replacement(
        'nova.scheduler.manager',
        'SchedulerManager._schedule',
        'chooses the hosts, or finds none',
        'scheduler_calls.wrap_schedule',
    ),
    Replacement(
        'nova.virt.hardware',
        'numa_fit_instance_to_host',
        "chooses the host's NUMA nodes for an instance",
        'numa_fitting.wrap_numa_fit_instance_to_host',
    ),
    Replacement(
        'nova.network.neutron',
        'API.create_resource_requests',
        'makes the requests of NICs',
        'network.nics.wrap_create_resource_requests',
    ),
    Replacement(
        'nova.network.neutron',
        'API._create_ports_for_instance',
        'makes ports for NICs',
        'network.port_binding.wrap_create_ports',
    ),
    Replacement(
        'nova.network.neutron',
        'API._populate_neutron_binding_profile',
        'makes the binding profile of a port',
        'network.port_binding.wrap_populate_binding_profile',
    ),
    Replacement(
        'nova.pci.whitelist',
        'Whitelist.get_devspec',
        'returns the tags of a device',
        'network.port_binding.wrap_get_devspec',
    ),
    Replacement(
        'nova.compute.manager',
        'ComputeManager._update_migrate_vifs_profile_with_pci',
        'binds ports to the new devices of a live migration',
        'network.port_binding.wrap_update_migrated_profiles',
    ),
    Replacement(
        'nova.compute.rpcapi',
        'ComputeAPI.attach_interface',
        'asks nova-compute to attach an interface',
        'network.interface_requests.wrap_attach_interface',
    ),
    Replacement(
        'nova.compute.rpcapi',
        'ComputeAPI.detach_interface',
        'asks nova-compute to detach an interface',
        'network.interface_requests.wrap_detach_interface',
    ),
    Replacement(
        'nova.compute.manager',
        'ComputeManager._attach_interface',
        'attaches an interface',
        'network.interfaces.wrap_attach',
    ),
    Replacement(
        'nova.compute.manager',
        'ComputeManager._claim_pci_device_for_interface_attach',
        'claims the device of an interface',
        'network.interfaces.wrap_claim',
    ),
    Replacement(
        'nova.compute.manager',
        'ComputeManager._detach_interface',
        'frees the device of an interface',
        'network.interfaces.wrap_detach',
    ),
    Replacement(
        'nova.compute.manager',
        'ComputeManager._process_instance_vif_deleted_event',
        'detaches an interface whose port was deleted',
        'network.interfaces.wrap_port_deleted',
    ),
    Replacement(
        'nova.context',
        'RequestContext.to_dict',
        'serializes a request context',
        'network.asked_nics.wrap_to_dict',
    ),
    Replacement(
        'nova.context',
        'RequestContext.from_dict',
        'deserializes a request context',
        'network.asked_nics.wrap_from_dict',
    ),
    Replacement(
        'nova.virt.libvirt.driver',
        'LibvirtDriver.spawn',
        'starts the guest of a new or rebuilt instance',
        'compute.guest_start.wrap_start',
    ),
    Replacement(
        'nova.virt.libvirt.driver',
        'LibvirtDriver._hard_reboot',
        'starts a guest again',
        'compute.guest_start.wrap_start',
    ),
    Replacement(
        'nova.virt.libvirt.driver',
        'LibvirtDriver.resume',
        'resumes a guest',
        'compute.guest_start.wrap_start',
    ),
    Replacement(
        'nova.virt.libvirt.driver',
        'LibvirtDriver.rescue',
        'starts a guest with another image',
        'compute.guest_start.wrap_start',
    ),
    Replacement(
        'nova.virt.libvirt.driver',
        'LibvirtDriver.unrescue',
        'starts a guest with its own image again',
        'compute.guest_start.wrap_start',
    ),
    Replacement(
        'nova.virt.libvirt.driver',
        'LibvirtDriver.finish_migration',
        'starts a guest at the destination of a resize or cold migration',
        'compute.guest_start.wrap_start',
    ),
    Replacement(
        'nova.virt.libvirt.driver',
        'LibvirtDriver._get_guest_config',
        'describes a guest for libvirt',
        'compute.guest_devices.wrap_get_guest_config',
    ),
    Replacement(
        'nova.virt.libvirt.driver',
        'LibvirtDriver._live_migration_operation',
        'lets libvirt migrate a running guest',
        'compute.failed_starts.wrap_live_migration',
    ),
    Replacement(
        'nova.virt.libvirt.driver',
        'LibvirtDriver.finish_revert_migration',
        'starts a guest on its former host',
        'compute.guest_start.wrap_start',
    ),
)
