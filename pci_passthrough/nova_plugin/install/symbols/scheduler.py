# SPDX-License-Identifier: Apache-2.0
"""Symbols of Nova's scheduler: filters, weighers and readers of pools."""

from pci_passthrough.nova_plugin.install.symbols import symbol

SYMBOLS = (
    *symbol.listed(
        'nova.filters',
        symbol.Use.OVERRIDDEN,
        {
            'BaseFilter.filter_all': 'PciFlavorFilter asks once for all hosts',
        },
    ),
    *symbol.listed(
        'nova.filters',
        symbol.Use.RELIED_ON,
        {
            'BaseFilter.run_filter_for_index': (
                'filters once for each instance'
            ),
            'BaseFilterHandler.get_filtered_objects': 'calls filter_all',
        },
    ),
    *symbol.listed(
        'nova.scheduler.filters',
        symbol.Use.OVERRIDDEN,
        {
            'BaseHostFilter': 'PciFlavorFilter is derived from it',
            'BaseHostFilter._filter_one': (
                'decides whether a rebuild is filtered'
            ),
        },
    ),
    *symbol.listed(
        'nova.scheduler.filters.pci_passthrough_filter',
        symbol.Use.RELIED_ON,
        {'PciPassthroughFilter.host_passes': 'asks the pools of a host'},
    ),
    *symbol.listed(
        'nova.scheduler.filters.numa_topology_filter',
        symbol.Use.RELIED_ON,
        {'NUMATopologyFilter.host_passes': 'asks the pools of a host'},
    ),
    *symbol.listed(
        'nova.objects.numa',
        symbol.Use.CALLED,
        {'NUMACell.fields': 'has the socket of a NUMA node'},
    ),
    *symbol.listed(
        'nova.scheduler.utils',
        symbol.Use.CALLED,
        {
            'get_weight_multiplier': 'reads the multiplier of an aggregate',
            'request_is_rebuild': (
                'recognizes a rebuild, which keeps its devices'
            ),
        },
    ),
    *symbol.listed(
        'nova.scheduler.host_manager',
        symbol.Use.RELIED_ON,
        {
            'HostState._locked_consume_from_request': (
                'consumes between two instances of a request'
            ),
            'HostState._update_from_compute_node': 'makes the pools',
            'HostManager._get_host_states': (
                'makes new pools for each request'
            ),
        },
    ),
    *symbol.listed(
        'nova.scheduler.manager',
        symbol.Use.RELIED_ON,
        {
            'SchedulerManager.select_destinations': (
                'calls _schedule with the candidates of Placement'
            ),
            'SchedulerManager._ensure_sufficient_hosts': (
                'raises NoValidHost in _schedule'
            ),
        },
    ),
    *symbol.listed(
        'nova.exception',
        symbol.Use.CALLED,
        {'NoValidHost': 'says in the fault why there is no host'},
    ),
    *symbol.listed(
        'nova.weights',
        symbol.Use.OVERRIDDEN,
        {
            'BaseWeigher': 'PciFlavorWeigher is derived from it',
            'BaseWeigher.weigh_objects': 'normalizes weights',
        },
    ),
    *symbol.listed(
        'nova.scheduler.weights',
        symbol.Use.OVERRIDDEN,
        {'BaseHostWeigher': 'PciFlavorWeigher is derived from it'},
    ),
    *symbol.listed(
        'nova.scheduler.weights.pci',
        symbol.Use.RELIED_ON,
        {'PCIWeigher._weigh_object': 'counts the devices of the pools'},
    ),
)
