# SPDX-License-Identifier: Apache-2.0
"""The table of the routes of the REST API."""

from pci_passthrough.api import openapi
from pci_passthrough.api.handlers import host
from pci_passthrough.api.handlers import pci_device
from pci_passthrough.api.handlers import pci_flavor
from pci_passthrough.api.handlers import pci_flavor_access
from pci_passthrough.api.handlers import pci_flavor_availability
from pci_passthrough.api.handlers import pci_flavor_dry_run
from pci_passthrough.api.handlers import pci_flavor_explanation
from pci_passthrough.api.handlers import pci_pool
from pci_passthrough.api.handlers import refusal
from pci_passthrough.api.handlers import usage
from pci_passthrough.api.handlers import version
from pci_passthrough.api.policies import host as host_policy
from pci_passthrough.api.policies import pci_device as device_policy
from pci_passthrough.api.policies import pci_flavor as flavor_policy
from pci_passthrough.api.policies import pci_pool as pool_policy
from pci_passthrough.api.policies import refusal as refusal_policy
from pci_passthrough.api.policies import usage as usage_policy
from pci_passthrough.api.route import Route
from pci_passthrough.api.schemas import host as host_schema
from pci_passthrough.api.schemas import pci_device as device_schema
from pci_passthrough.api.schemas import pci_flavor as flavor_schema
from pci_passthrough.api.schemas import pci_pool as pool_schema
from pci_passthrough.api.schemas import refusal as refusal_schema
from pci_passthrough.api.schemas import usage as usage_schema
from pci_passthrough.api.schemas import version as version_schema

_FLAVOR = '/v1/pci-flavors/{pci_flavor}'

_FLAVOR_ROUTES = [
    Route(
        'GET',
        '/v1/pci-flavors',
        pci_flavor.index,
        'List the PCI flavors that the project may use.',
        flavor_policy.LIST,
        {200: flavor_schema.LISTED},
        query=flavor_schema.LIST_QUERY,
    ),
    Route(
        'POST',
        '/v1/pci-flavors',
        pci_flavor.create,
        'Create a PCI flavor.',
        flavor_policy.CREATE,
        {200: flavor_schema.EFFECT, 201: flavor_schema.CHANGED},
        (409,),
        flavor_schema.DRY_RUN_QUERY,
        flavor_schema.CREATE,
        pci_flavor_dry_run.create,
    ),
    Route(
        'GET',
        _FLAVOR,
        pci_flavor.show,
        'Show a PCI flavor.',
        flavor_policy.SHOW,
        {200: flavor_schema.CHANGED, 304: None},
    ),
    Route(
        'PATCH',
        _FLAVOR,
        pci_flavor.update,
        'Change a PCI flavor. Needs If-Match or a generation.',
        flavor_policy.UPDATE,
        {200: {'anyOf': [flavor_schema.CHANGED, flavor_schema.EFFECT]}},
        (409, 412, 428),
        flavor_schema.FORCE_QUERY,
        flavor_schema.UPDATE,
        pci_flavor_dry_run.update,
    ),
    Route(
        'DELETE',
        _FLAVOR,
        pci_flavor.delete,
        'Delete a PCI flavor.',
        flavor_policy.DELETE,
        {200: flavor_schema.EFFECT, 204: None},
        (409, 412),
        flavor_schema.FORCE_QUERY,
        dry_run=pci_flavor_dry_run.delete,
    ),
    Route(
        'GET',
        f'{_FLAVOR}/availability',
        pci_flavor_availability.show,
        'Show whether devices of a PCI flavor are available.',
        flavor_policy.AVAILABILITY,
        {200: flavor_schema.AVAILABILITY},
        query=flavor_schema.AVAILABILITY_QUERY,
    ),
    Route(
        'GET',
        f'{_FLAVOR}/explain',
        pci_flavor_explanation.show,
        'Explain why requests for a PCI flavor get no devices.',
        flavor_policy.EXPLAIN,
        {200: flavor_schema.EXPLAIN},
        query=flavor_schema.EXPLAIN_QUERY,
    ),
    Route(
        'GET',
        f'{_FLAVOR}/access',
        pci_flavor_access.index,
        'List the projects that a PCI flavor is shared with.',
        flavor_policy.ACCESS_LIST,
        {200: flavor_schema.ACCESS},
    ),
    Route(
        'PUT',
        f'{_FLAVOR}/access/{{project_id}}',
        pci_flavor_access.add,
        'Share a PCI flavor with a project.',
        flavor_policy.ACCESS_ADD,
        {204: None},
        (412,),
    ),
    Route(
        'DELETE',
        f'{_FLAVOR}/access/{{project_id}}',
        pci_flavor_access.remove,
        'Stop sharing a PCI flavor with a project.',
        flavor_policy.ACCESS_REMOVE,
        {204: None},
        (412,),
    ),
]

_DEVICE = '/v1/pci-devices/{pci_device}'

_DEVICE_ROUTES = [
    Route(
        'GET',
        '/v1/pci-devices',
        pci_device.index,
        'List devices, by host and address.',
        device_policy.LIST,
        {200: device_schema.LISTED},
        # The filter pci_flavor names none that exists.
        (404,),
        query=device_schema.LIST_QUERY,
    ),
    Route(
        'GET',
        _DEVICE,
        pci_device.show,
        'Show a device.',
        device_policy.SHOW,
        {200: device_schema.SHOWN, 304: None},
    ),
    Route(
        'PATCH',
        _DEVICE,
        pci_device.update,
        'Take a device out of service, or put it back.',
        device_policy.UPDATE,
        {200: device_schema.SHOWN},
        (409, 412),
        body=device_schema.UPDATE,
    ),
    Route(
        'GET',
        f'{_DEVICE}/history',
        pci_device.history,
        'Show the history of a device, oldest event first.',
        device_policy.HISTORY,
        {200: device_schema.HISTORY},
        query=device_schema.HISTORY_QUERY,
    ),
]

_ROUTES = [
    Route(
        'GET',
        '/',
        version.index,
        'List the versions of the API.',
        None,
        {200: version_schema.LISTED},
    ),
    Route(
        'GET',
        '/v1',
        version.show,
        'Show the version of the API.',
        None,
        {200: version_schema.SHOWN},
    ),
    *_FLAVOR_ROUTES,
    *_DEVICE_ROUTES,
    Route(
        'GET',
        '/v1/pci-pools',
        pci_pool.index,
        'List the pools of hosts that are up.',
        pool_policy.LIST,
        {200: pool_schema.LISTED},
        # The filter pci_flavor names none that exists.
        (404,),
        query=pool_schema.LIST_QUERY,
    ),
    Route(
        'GET',
        '/v1/hosts',
        host.index,
        'List hosts whose agents have reported.',
        host_policy.LIST,
        {200: host_schema.LISTED},
        query=host_schema.LIST_QUERY,
    ),
    Route(
        'DELETE',
        '/v1/hosts/{host}',
        host.delete,
        'Forget a host that is down, with its devices. Since microversion '
        '1.2.',
        host_policy.DELETE,
        {204: None},
        (409,),
        host_schema.DELETE_QUERY,
        since='1.2',
    ),
    Route(
        'GET',
        '/v1/refusals',
        refusal.index,
        "List refusals of Nova's scheduler, newest first. Since microversion "
        '1.2.',
        refusal_policy.LIST,
        {200: refusal_schema.LISTED},
        query=refusal_schema.LIST_QUERY,
        since='1.2',
    ),
    Route(
        'GET',
        '/v1/usages',
        usage.index,
        'List how many devices projects use, their limits, and for how long '
        'devices were used. Since microversion 1.4.',
        usage_policy.LIST,
        {200: usage_schema.LISTED},
        query=usage_schema.LIST_QUERY,
        since='1.4',
        errors=(404,),
    ),
]

#: All routes, with that of the OpenAPI document. Their order has no meaning.
ROUTES = [*_ROUTES, openapi.route_to_document(_ROUTES)]
