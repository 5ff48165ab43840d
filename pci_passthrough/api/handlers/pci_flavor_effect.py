# SPDX-License-Identifier: Apache-2.0
"""What a change of a PCI flavor would do, without doing it."""

from typing import Any

from werkzeug import wrappers

from pci_passthrough import objects
from pci_passthrough.api import request as request_mod
from pci_passthrough.api import responses
from pci_passthrough.api.handlers import pci_flavor_view
from pci_passthrough.api.handlers import pci_pool
from pci_passthrough.api.policies import pci_device as device_policy
from pci_passthrough.api.policies import pci_flavor as policy
from pci_passthrough.api.policies import pci_pool as pool_policy
from pci_passthrough.store.views import effects

#: What is said of a refusal to those who may not know who holds devices.
_REFUSED = 'It is in use, or its name is taken.'


def answer(
    request: request_mod.ApiRequest,
    before: objects.PciFlavor | None,
    after: objects.PciFlavor | None,
) -> wrappers.Response:
    """Tell what would be gained and lost.

    :param before: None: it would be created.
    :param after: None: it would be deleted.
    """
    effect = effects.effect(
        request.backends.database,
        request.backends.catalog,
        request.backends.limits.host_timeout,
        before,
        after,
    )
    sees_all = request.may(policy.ALL_PROJECTS)
    body: dict[str, Any] = {
        'pci_flavor': after
        and pci_flavor_view.view(after, with_owner=sees_all),
        'refusal': effect.refusal and _REFUSED,
    }
    if request.may(policy.AVAILABILITY_COUNTS):
        body['devices'] = {
            'before': effect.devices_before,
            'after': effect.devices_after,
            'gained': effect.gained,
            'lost': effect.lost,
        }
    if request.may(pool_policy.LIST):
        body['pools'] = {
            'gained': [pci_pool.view(one) for one in effect.pools_gained],
            'lost': [pci_pool.view(one) for one in effect.pools_lost],
        }
    if request.may(device_policy.LIST):
        body['refusal'] = effect.refusal
        body['requests'] = {
            'stranded': effect.stranded.devices,
            'instances': list(effect.stranded.instances),
            'instance_count': effect.stranded.instance_count,
        }
    return responses.of(body)
