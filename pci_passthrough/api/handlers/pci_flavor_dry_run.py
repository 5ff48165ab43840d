# SPDX-License-Identifier: Apache-2.0
"""Dry runs: the effect of a change of a PCI flavor, without the change.

They need the same policies as the change itself.
"""

from collections.abc import Iterable
from typing import Any

from werkzeug import wrappers

from pci_passthrough import objects
from pci_passthrough.api import microversion
from pci_passthrough.api import request as request_mod
from pci_passthrough.api import responses
from pci_passthrough.api.handlers import pci_flavor_change
from pci_passthrough.api.handlers import pci_flavor_view
from pci_passthrough.api.handlers import pci_flavor_warnings
from pci_passthrough.api.handlers import pci_pool
from pci_passthrough.store.pci_flavors import validation
from pci_passthrough.store.views import effects

#: The refusal for viewers who may not see who holds devices.
_REFUSED = 'The PCI flavor is in use, or its name is taken.'


def create(request: request_mod.ApiRequest) -> wrappers.Response:
    """Show the effect of creating a PCI flavor."""
    new = pci_flavor_change.check_create(request)
    return _effect(request, None, validation.new(*new))


def update(
    request: request_mod.ApiRequest, pci_flavor: str
) -> wrappers.Response:
    """Show the effect of changing a PCI flavor."""
    change = pci_flavor_change.check_update(request, pci_flavor)
    change.check_current()
    after = validation.changed(change.before, change.values)
    return _effect(request, change.before, after)


def delete(
    request: request_mod.ApiRequest, pci_flavor: str
) -> wrappers.Response:
    """Show the effect of deleting a PCI flavor."""
    change = pci_flavor_change.check_delete(request, pci_flavor)
    return _effect(request, change.before, None)


def _effect(
    request: request_mod.ApiRequest,
    before: objects.PciFlavor | None,
    after: objects.PciFlavor | None,
) -> wrappers.Response:
    """Return as much of a change's effect as the viewer may see.

    :param before: the PCI flavor as it is; None means that it is created.
    :param after: the PCI flavor after the change; None means that it is
        deleted.
    """
    effect = effects.of_change(
        request.backends.database,
        request.backends.limits,
        before,
        after,
        request.backends.aggregates_for(before, after),
    )
    viewer = request.viewer
    body: dict[str, Any] = {
        'pci_flavor': after and pci_flavor_view.view(after, request),
        'refusal': effect.refusal and _REFUSED,
    }
    if viewer.sees_counts():
        body['devices'] = {
            'before': effect.devices_before,
            'after': effect.devices_after,
            'gained': effect.gained,
            'lost': effect.lost,
        }
    if viewer.sees_pools:
        body['pools'] = {
            'gained': _pools(request, effect.pools_gained),
            'lost': _pools(request, effect.pools_lost),
        }
    if viewer.sees_holders:
        body['refusal'] = effect.refusal
        body['requests'] = {
            'stranded': effect.stranded.devices,
            'instances': list(effect.stranded.instances),
            'instance_count': effect.stranded.instance_count,
        }
        if microversion.includes(request.api_version, '1.4'):
            body['requests']['outside'] = effect.outside
    return responses.of(
        body
        | pci_flavor_warnings.of_change(
            request, before, after, effect.whole_and_slices
        )
    )


def _pools(
    request: request_mod.ApiRequest, pools: Iterable[objects.PciDevicePool]
) -> list[dict[str, Any]]:
    return [pci_pool.view(pool, request.api_version) for pool in pools]
