# SPDX-License-Identifier: Apache-2.0
"""Lists the tests that run with each release of Nova.

A name is that of a package, module, class or test. ``name:regex`` means the
tests of ``name`` in whose own names the regular expression is found.
"""

#: Tests of this project: short ones, and those that compare with what the
#: release does with native devices.
_PROJECT = (
    'pci_passthrough.tests.nova.test_bystanders',
    'pci_passthrough.tests.nova.test_installed',
    'pci_passthrough.tests.nova.test_numa_nodes.ClaimTest'
    '.test_node_with_devices_is_avoided',
    'pci_passthrough.tests.nova.test_numa_nodes.MultiCreateTest'
    '.test_node_with_devices_is_avoided',
)


def _unit(*names: str) -> tuple[str, ...]:
    return tuple(f'nova.tests.unit.{name}' for name in names)


#: The tests of the replaced methods of the libvirt driver, which has more than
#: a thousand tests, and of the replaced function of ``nova.virt.hardware``.
_DRIVER = (
    'virt.libvirt.test_driver:spawn|hard_reboot|_resume|rescue|finish_revert'
)
_FITTING = 'virt.test_hardware:fit'

#: All unit tests of the modules in which something is replaced, and of those
#: that use it. Any of them may fail because a replacement touches something
#: that its test does not expect.
_UNIT = _unit(
    'api.openstack.compute.test_attach_interfaces',
    'api.validation.extra_specs.test_validators',
    'compute.test_api:provision_instances|resize|quota',
    'compute.test_claims',
    'compute.test_compute_mgr',
    'compute.test_pci_placement_translator',
    'compute.test_resource_tracker',
    'compute.test_rpcapi',
    'conductor',
    'network.test_neutron',
    'objects.test_instance_pci_requests',
    'objects.test_pci_device',
    'objects.test_request_spec',
    'pci',
    'scheduler.filters',
    'scheduler.test_filters',
    'scheduler.test_host_filters',
    'scheduler.test_host_manager',
    'scheduler.test_manager',
    'scheduler.test_utils',
    'scheduler.weights.test_weights_pci',
    'test_context',
    _FITTING,
    _DRIVER,
)

#: Of these, the tests that call what is replaced.
_UNIT_OF_REPLACED = _unit(
    'api.validation.extra_specs.test_validators',
    'compute.test_api:provision_instances|resize',
    'compute.test_claims',
    'compute.test_compute_mgr:interface|vif|external_instance_event|pci',
    'compute.test_resource_tracker:(?i)claim|pci|migrat|resize',
    'compute.test_rpcapi:tach_interface',
    'conductor.tasks.test_live_migrate',
    'conductor.tasks.test_migrate',
    'network.test_neutron:pci|resource_requests|binding_profile|create_port',
    'objects.test_request_spec:pci|network_info',
    'pci.test_manager',
    'pci.test_request',
    'pci.test_stats',
    'pci.test_whitelist',
    'scheduler.filters.test_numa_topology_filters',
    'scheduler.filters.test_pci_passthrough_filters',
    'scheduler.test_filters',
    'scheduler.test_host_manager:pci|consume',
    'scheduler.test_manager:_schedule|sufficient',
    'scheduler.test_utils:pci|limits',
    'scheduler.weights.test_weights_pci',
    'test_context:dict',
    _FITTING,
    _DRIVER,
)


def _functional(module: str, *classes: str) -> tuple[str, ...]:
    path = f'nova.tests.functional.libvirt.{module}'
    return tuple(f'{path}.{name}' for name in classes)


#: All functional tests of PCI devices. They take a quarter of an hour on each
#: release.
_ALL_FUNCTIONAL = (
    'nova.tests.functional.libvirt.test_pci_sriov_servers',
    'nova.tests.functional.libvirt.test_pci_in_placement',
)

#: Major version of Nova to functional tests: each kind of move on the newest
#: release, and what releases of Nova do differently on the others.
_FUNCTIONAL = {
    '34': _functional(
        'test_pci_sriov_servers',
        'PCIServersTest:cold_migrate|evacuate|multi|from_one|resched|fails',
        'PCIServersWithPreferredNUMATest',
        'SRIOVAttachDetachTest',
    ),
    '33': _functional('test_pci_sriov_servers', 'SRIOVAttachDetachTest'),
    '32': _functional('test_pci_in_placement', 'RCAndTraitBasedPCIAliasTests'),
}


def tests_for(major: str, extent: str = '') -> tuple[str, ...]:
    """Return the names of the tests for a release.

    :param major: its major version.
    :param extent: ``all`` adds the functional tests of PCI devices that would
        find what others find. ``quick`` leaves out the unit tests that do
        not call what is replaced.
    """
    if extent == 'all':
        return _PROJECT + _UNIT + _ALL_FUNCTIONAL
    unit = _UNIT_OF_REPLACED if extent == 'quick' else _UNIT
    return _PROJECT + unit + _FUNCTIONAL[major]
