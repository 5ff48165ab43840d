# SPDX-License-Identifier: Apache-2.0
"""Pools of hosts that are up."""

from typing import Any

from werkzeug import wrappers

from pci_passthrough import objects
from pci_passthrough.api import microversion
from pci_passthrough.api import request as request_mod
from pci_passthrough.api import responses
from pci_passthrough.api.schemas import pci_pool as schema
from pci_passthrough.store.views import pool_pages

_PROPERTIES: tuple[str, ...] = (*objects.POOL_FIELDS, 'extra_info')


def index(request: request_mod.ApiRequest) -> wrappers.Response:
    """List pools by host."""
    query = request.query
    hosts = query.get('host')
    page = pool_pages.find(
        request.backends.database,
        request.backends.limits,
        pool_pages.PoolFilter(
            hosts=None if hosts is None else tuple(hosts),
            **request.given(
                'pci_flavor',
                'vendor_id',
                'product_id',
                'dev_type',
                'numa_node',
                'resource_type',
            ),
        ),
        query.get('marker'),
        query['limit'] + 1,
    )
    shown, last = responses.cut(page, lambda pool: pool.id, request)
    views = [
        {'id': pool.id, **view(pool.pool, request.api_version)}
        for pool in shown
    ]
    return responses.page(request, 'pci_pools', views, last)


def view(pool: objects.PciDevicePool, api_version: str) -> dict[str, Any]:
    """Return a pool as JSON, as a microversion has it."""
    names = microversion.known(_PROPERTIES, api_version, schema.ADDED)
    return {
        'host': pool.host,
        **{name: getattr(pool, name) for name in names},
        'free': pool.count,
        'total': pool.total,
    }
