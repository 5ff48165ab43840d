# SPDX-License-Identifier: Apache-2.0
"""Checks the limits of projects in nova-api, while the user waits.

A claim of devices checks them again, on the host that Nova has chosen. The
conductor counts, and knows the limits.
"""

from collections.abc import Callable
from collections.abc import Sequence
import functools
import inspect
from typing import Any

from pci_passthrough import objects
from pci_passthrough.nova_plugin import client
from pci_passthrough.nova_plugin import flavor_requests
from pci_passthrough.nova_plugin import loaded
from pci_passthrough.nova_plugin import requests
from pci_passthrough.nova_plugin import user_errors
from pci_passthrough.nova_plugin.compat import errors
from pci_passthrough.nova_plugin.compat import scheduling


class QuotaExceeded(errors.PortLimitExceeded):
    """The project may not hold as many devices: HTTP 403.

    Nova's API answers so for this class, and the classes that it is derived
    from, when a server is created or resized and an interface is attached.
    """

    msg_fmt = 'Quota exceeded for %(excesses)s'


def wrap_provision_instances(
    original: Callable[..., Any],
) -> Callable[..., Any]:
    """Replace ``nova.compute.api.API._provision_instances``.

    nova-api calls it when all requests of new servers are made, and checks
    Nova's own quotas in it. As with those, fewer servers are created if there
    is room for the minimum that the user wants, and not for the maximum.
    """
    signature = inspect.signature(original)

    @functools.wraps(original)
    def _provision_instances(*args: Any, **kwargs: Any) -> Any:
        given = signature.bind(*args, **kwargs)
        arguments = given.arguments
        wanted = requests.for_pci_flavors(
            _requests_in(arguments['base_options'])
        )
        if not wanted:
            return original(*args, **kwargs)
        arguments['max_count'] = check(
            arguments['context'].project_id,
            [requests.to_pci_request(request) for request in wanted],
            servers=arguments['max_count'],
            least=arguments['min_count'],
        )
        return original(*given.args, **given.kwargs)

    return _provision_instances


def _requests_in(base_options: Any) -> Sequence[Any]:
    """Return the PCI requests of new servers, native ones, too."""
    pci_requests = base_options.get('pci_requests')
    return loaded.attribute(pci_requests, 'requests') or ()


def wrap_check_quota_for_upsize(
    original: Callable[..., Any],
) -> Callable[..., Any]:
    """Replace ``nova.compute.api.API._check_quota_for_upsize``.

    nova-api calls it for a resize, and for one that is reverted: that takes
    no devices. The NICs of the server keep theirs.
    """
    signature = inspect.signature(original)

    @functools.wraps(original)
    def _check_quota_for_upsize(*args: Any, **kwargs: Any) -> Any:
        given = signature.bind(*args, **kwargs).arguments
        result = original(*args, **kwargs)
        if not given['is_revert'] and requests.asks_for_pci_flavors(
            given['new_flavor']
        ):
            _check_resize(
                given['context'], given['instance'], given['new_flavor']
            )
        return result

    return _check_quota_for_upsize


def _check_resize(context: Any, instance: Any, flavor: Any) -> None:
    held = scheduling.pci_requests_of(context, instance.uuid).requests
    wanted = [
        *flavor_requests.make_for_user(flavor),
        *filter(requests.is_for_nic, held),
    ]
    check(
        instance.project_id,
        [requests.to_pci_request(request) for request in wanted],
        instance_uuid=instance.uuid,
        host=instance.host,
        replaces=True,
    )


def check(
    project_id: str,
    wanted: Sequence[objects.PciRequest],
    servers: int = 1,
    least: int = 1,
    **instance: Any,
) -> int:
    """Check that a project may hold the devices of requests.

    :param project_id: the project of the instance.
    :param wanted: the requests of one server.
    :param servers: how many equal servers are wanted.
    :param least: how many of them at least.
    :param instance: the arguments of ``ConductorClient.check_quota`` about an
        instance that exists.
    :returns: for how many servers there is room.
    :raises QuotaExceeded: there is no room for the least number.
    :raises PciFlavorsUnavailable: nobody knows.
    """
    with user_errors.refused_as(user_errors.RequestRefused):
        answer = client.conductor().check_quota(
            project_id, wanted, servers, **instance
        )
    if answer.servers < least:
        raise QuotaExceeded(excesses='; '.join(map(str, answer.excesses)))
    return int(answer.servers)
