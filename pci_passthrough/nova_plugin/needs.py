# SPDX-License-Identifier: Apache-2.0
"""Returns the requests for PCI flavors that an existing instance needs. Pure.

Nova keeps them in several places, which differ after a move that was reverted
or has failed: the instance, its migration context, and the request spec of
the scheduler. The truth is the flavor that the instance has, or gets by a
resize, and the NICs that it has. The scheduler's request, the claim of a move
and the checks of both are made by the functions here.
"""

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterable
from typing import Any

from pci_passthrough.nova_plugin import requests

#: Makes the requests that a flavor asks for, with new ids.
Make = Callable[[Any], list[Any]]


def of_flavor(
    flavor: Any, held: Iterable[Any] | None, make: Make | None
) -> list[Any]:
    """Return the requests of an instance's flavor.

    :param flavor: Nova's flavor; in a resize, the new one.
    :param held: the requests that the instance has. After a resize that has
        failed on its destination they are those of the other flavor.
    :param make: called if they are not those of this flavor. None means that
        the guest is running and can get no other devices.
    :raises InvalidRequest: the instance has requests, and the extra specs of
        its flavor are malformed.
    """
    kept = requests.of_flavor(held)
    if make is None or (
        kept and requests.summary(kept) == requests.summary_of_flavor(flavor)
    ):
        return kept
    return make(flavor) if requests.asks_for_pci_flavors(flavor) else []


def of_nics(
    held: Iterable[Any] | None,
    ports: Collection[str] | None,
    in_use: Collection[str] = (),
) -> list[Any]:
    """Return the requests of the NICs that an instance still has.

    :param held: all requests of the instance.
    :param ports: ids of the ports that the instance has in Neutron. None
        means that they are not known, and all NICs count.
    :param in_use: ids of requests whose devices the instance still has.
    """
    return [
        request
        for request in requests.for_pci_flavors(held)
        if requests.is_for_nic(request)
        and (
            ports is None
            # Nova has not recorded the port of a very new NIC.
            or request.requester_id is None
            or request.requester_id in ports
            or request.request_id in in_use
        )
    ]


def ask_alike(some: Iterable[Any], others: Iterable[Any]) -> bool:
    """Whether two lists of requests ask for the same devices.

    Nova gives requests new ids when it makes them again.
    """
    return sorted(map(_content, some)) == sorted(map(_content, others))


def _content(request: Any) -> tuple[Any, ...]:
    return (
        str(request.requester_id),
        request.count,
        str(request.numa_policy),
        [sorted(spec.items()) for spec in request.spec],
    )
