# SPDX-License-Identifier: Apache-2.0
"""Requests for devices, as a Nova flavor's extra specs say them.

::

    pci_passthrough:pci_flavor = "10g:2,bigGPU|midGPU:1"
    hardware_resource:10g = 2

A comma means and; ``|`` separates alternatives in order of preference; the
count is 1 if left out. Blanks around separators do not count.
"""

from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import math
import re
import uuid

from oslo_utils import uuidutils

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.specs import pci_flavor

#: Extra spec with the grammar of ``parse``.
EXTRA_SPEC = 'pci_passthrough:pci_flavor'

#: Followed by one PCI flavor, with the count as its value.
EXTRA_SPEC_PREFIX = 'hardware_resource:'

#: Most devices of one request: twice the slots of a PCI bus. More is a slip
#: of the keyboard, and would lock that many rows in one claim.
MAX_COUNT = 64

#: Most requests of one instance, for the same reason.
MAX_REQUESTS = 32

#: Most combinations of alternatives, over all requests of an instance. The
#: assignment tries them in order of preference, on each host.
MAX_COMBINATIONS = 4096

#: Most physical networks of a NIC: a network has a segment for each, and
#: routed provider networks have one for a rack.
MAX_PHYSICAL_NETWORKS = 1024

#: Longest name of a physical network, as in Neutron's database.
MAX_PHYSICAL_NETWORK_LENGTH = 64

_COUNT = re.compile('[0-9]{1,4}', re.ASCII)


def parse(text: str) -> list[objects.PciRequest]:
    """Read the value of ``pci_passthrough:pci_flavor``.

    :returns: the requests in the order written, each with a fresh id.
    :raises exception.InvalidRequest: with the part at fault.
    """
    if not isinstance(text, str):
        raise exception.InvalidRequest(str(text), 'is no string')
    # One more than is allowed is enough to see that there are too many.
    parts = text.split(',', MAX_REQUESTS)
    requests = [_parse_one(part.strip()) for part in parts[:MAX_REQUESTS]] + [
        _parse_one('x') for _ in parts[MAX_REQUESTS:]
    ]
    check(requests, text)
    return requests


def from_extra_specs(
    extra_specs: Mapping[str, str],
) -> list[objects.PciRequest]:
    """Return all requests that a Nova flavor makes.

    :param extra_specs: all of the flavor's; other keys are passed over.
    :returns: those of ``EXTRA_SPEC``, then those of ``EXTRA_SPEC_PREFIX`` in
        the order of their names; each with a fresh id.
    :raises exception.InvalidRequest: with the part at fault.
    """
    requests = []
    if EXTRA_SPEC in extra_specs:
        requests += parse(extra_specs[EXTRA_SPEC])
    for key in sorted(extra_specs):
        if key.startswith(EXTRA_SPEC_PREFIX):
            name = key.removeprefix(EXTRA_SPEC_PREFIX)
            count = str(extra_specs[key]).strip()
            requests.append(_request(f'{key} = {count}', [name], count))
    check(requests)
    return requests


def check(
    requests: Sequence[objects.PciRequest], text: str | None = None
) -> None:
    """Refuse what no instance may ask for, wherever it comes from.

    :param text: the requests as they were written, for the error.
    :raises exception.InvalidRequest: with the part at fault.
    """
    whole = ','.join(map(str, requests)) if text is None else text
    if len(requests) > MAX_REQUESTS:
        raise exception.InvalidRequest(
            whole, f'more than {MAX_REQUESTS} requests'
        )
    for request in requests:
        _check_one(request, str(request))
    if math.prod(len(one.pci_flavors) for one in requests) > MAX_COMBINATIONS:
        raise exception.InvalidRequest(
            whole, f'more than {MAX_COMBINATIONS} combinations of alternatives'
        )


def check_settled(requests: Iterable[objects.PciRequest]) -> None:
    """Refuse NICs of which it is not known what kind of device they need.

    :raises: InvalidRequest
    """
    for request in requests:
        nic = request.get('nic')
        if nic is not None and nic.vnic_type is None:
            raise exception.InvalidRequest(
                str(request), 'the vnic_type of its NIC is not settled'
            )


def check_owner(instance_uuid: str) -> None:
    """Refuse what is no UUID in the one form that is compared.

    :raises: InvalidRequest
    """
    if not (
        isinstance(instance_uuid, str)
        and uuidutils.is_uuid_like(instance_uuid)
        and str(uuid.UUID(instance_uuid)) == instance_uuid
    ):
        raise exception.InvalidRequest(
            str(instance_uuid),
            'the owner has to be a UUID, in lower case and with hyphens',
        )


def check_ids(requests: Sequence[objects.PciRequest]) -> None:
    """Refuse ids by which a claim could not be found again.

    :raises: InvalidRequest
    """
    seen: set[str] = set()
    for request in requests:
        check_id(request.request_id, str(request))
        if request.request_id in seen:
            raise exception.InvalidRequest(
                str(request), f'its id {request.request_id!r} is used twice'
            )
        seen.add(request.request_id)


def check_id(request_id: str, text: str) -> None:
    """Refuse an id that cannot be kept.

    :param text: the request, for the error.
    :raises: InvalidRequest
    """
    if not 1 <= len(request_id) <= 64 or not request_id.isprintable():
        raise exception.InvalidRequest(
            text, 'its id has to have 1 to 64 characters'
        )


def _check_one(request: objects.PciRequest, text: str) -> None:
    names = request.pci_flavors
    if not names:
        raise exception.InvalidRequest(text, 'it names no PCI flavor')
    if len(set(names)) < len(names):
        raise exception.InvalidRequest(text, 'names an alternative twice')
    if not 1 <= request.count <= MAX_COUNT:
        raise exception.InvalidRequest(
            text, f'the count has to be a number from 1 to {MAX_COUNT}'
        )
    nic = request.get('nic')
    if nic is not None:
        _check_nic(request, nic, text)


def _check_nic(
    request: objects.PciRequest, nic: objects.RequestedNic, text: str
) -> None:
    if request.count != 1 or len(request.pci_flavors) != 1:
        raise exception.InvalidRequest(
            text, 'for a NIC it is one device of one PCI flavor'
        )
    networks = nic.physical_networks
    if len(networks) > MAX_PHYSICAL_NETWORKS or not all(
        1 <= len(name) <= MAX_PHYSICAL_NETWORK_LENGTH for name in networks
    ):
        # Without the names: projects must not see them.
        raise exception.InvalidRequest(
            text,
            f'a NIC has at most {MAX_PHYSICAL_NETWORKS} physical networks, '
            f'with names of 1 to {MAX_PHYSICAL_NETWORK_LENGTH} characters',
        )


def _parse_one(part: str) -> objects.PciRequest:
    if not part:
        raise exception.InvalidRequest(part, 'a request is empty')
    names, *counts = part.split(':')
    if len(counts) > 1:
        raise exception.InvalidRequest(part, 'has more than one count')
    count = counts[0].strip() if counts else '1'
    return _request(part, [name.strip() for name in names.split('|')], count)


def _request(part: str, names: list[str], count: str) -> objects.PciRequest:
    for name in names:
        _check_name(part, name)
    request = objects.PciRequest(
        request_id=uuidutils.generate_uuid(),
        # Not a number: a count that is refused.
        count=int(count) if _COUNT.fullmatch(count) else 0,
        pci_flavors=names,
        numa_policy=None,
    )
    _check_one(request, part)
    return request


def _check_name(part: str, name: str) -> None:
    if uuidutils.is_uuid_like(name):
        return
    try:
        pci_flavor.validate_name(name)
    except exception.InvalidPciFlavor as error:
        raise exception.InvalidRequest(
            part, f'the name {name!r} {error.reason}'
        ) from error
