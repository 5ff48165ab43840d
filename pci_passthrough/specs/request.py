# SPDX-License-Identifier: Apache-2.0
"""Parses and checks requests for devices in a Nova flavor's extra specs.

::

    pci_passthrough:pci_flavor = "10g:2,bigGPU|midGPU:1"
    hardware_resource:10g = 2

A comma separates requests; ``|`` separates alternatives in order of
preference; a missing count means 1. Blanks around separators are ignored.
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

#: Name of the extra spec whose value ``parse`` reads.
EXTRA_SPEC = 'pci_passthrough:pci_flavor'

#: The keys of the namespace of ``EXTRA_SPEC``; the second one is Nova's.
_NAMESPACE = 'pci_passthrough:'
_KNOWN = (EXTRA_SPEC, f'{_NAMESPACE}alias')

#: Prefix of extra specs that are named after one PCI flavor and whose value
#: is the count.
EXTRA_SPEC_PREFIX = 'hardware_resource:'

#: Most devices of one request: twice the slots of a PCI bus. A greater count
#: is probably a typing error, and its claim would lock that many rows.
MAX_COUNT = 64

#: Most requests of one instance, for the same reason.
MAX_REQUESTS = 32

#: Most combinations of alternatives over all requests of an instance. The
#: assignment tries them in order of preference, on each host.
MAX_COMBINATIONS = 4096

#: Most physical networks of a NIC. A Neutron network has one for each
#: segment; a routed provider network has one segment for each rack.
MAX_PHYSICAL_NETWORKS = 1024

#: Longest name of a physical network, as in Neutron's database.
MAX_PHYSICAL_NETWORK_LENGTH = 64

#: Advice about a part that is not written as requests are.
_EXAMPLE = 'right would be, for example: 10g:2,bigGPU|midGPU:1'

_COUNT = re.compile('[0-9]{1,4}', re.ASCII)


def parse(text: str) -> list[objects.PciRequest]:
    """Parse the value of the extra spec ``pci_passthrough:pci_flavor``.

    :returns: the requests in the order written, each with a new request id.
    :raises exception.InvalidRequest: a request is malformed. The error names
        the part at fault.
    """
    if not isinstance(text, str):
        raise exception.InvalidRequest(str(text), 'is no string')
    # One part more than allowed suffices to detect too many requests; this
    # last part is not parsed, because it may be very long.
    parts = text.split(',', MAX_REQUESTS)
    try:
        requests = [_parse_request(p.strip()) for p in parts[:MAX_REQUESTS]]
    except exception.InvalidRequest as error:
        raise exception.InvalidRequest(
            error.request, f'{error.reason}; {_EXAMPLE}'
        ) from error
    requests += [_parse_request('x') for _ in parts[MAX_REQUESTS:]]
    check(requests, text)
    return requests


def from_extra_specs(
    extra_specs: Mapping[str, str],
) -> list[objects.PciRequest]:
    """Return all requests in a Nova flavor's extra specs.

    :param extra_specs: all extra specs of the flavor; keys of others than
        this project are ignored.
    :returns: the requests of ``EXTRA_SPEC``, then those of
        ``EXTRA_SPEC_PREFIX`` sorted by name; each with a new request id.
    :raises exception.InvalidRequest: a request is malformed. The error names
        the part at fault.
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


def check_extra_specs(extra_specs: Mapping[str, str]) -> None:
    """Check extra specs before a Nova flavor gets them.

    :param extra_specs: keys of other namespaces are ignored.
    :raises exception.InvalidRequest: a key does not exist, so nothing would
        ever read it; or a request is malformed.
    """
    for key in extra_specs:
        if key.startswith(_NAMESPACE) and key not in _KNOWN:
            raise exception.InvalidRequest(
                key, f'there is no such extra spec; possible: {_KNOWN[0]}'
            )
    from_extra_specs(extra_specs)


def check(
    requests: Sequence[objects.PciRequest], text: str | None = None
) -> None:
    """Check all requests of an instance, from extra specs and NICs alike.

    :param text: the requests as the user wrote them, for the error.
    :raises exception.InvalidRequest: a request is invalid, or there are too
        many requests. The error names the part at fault.
    """
    whole = ','.join(map(str, requests)) if text is None else text
    if len(requests) > MAX_REQUESTS:
        raise exception.InvalidRequest(
            whole, f'more than {MAX_REQUESTS} requests'
        )
    for request in requests:
        _check_request(request, str(request))
    combinations = math.prod(len(request.pci_flavors) for request in requests)
    if combinations > MAX_COMBINATIONS:
        raise exception.InvalidRequest(
            whole, f'more than {MAX_COMBINATIONS} combinations of alternatives'
        )


def check_vnic_types(requests: Iterable[objects.PciRequest]) -> None:
    """Check that the vnic_type of each request's NIC is set.

    :raises exception.InvalidRequest: a NIC has no vnic_type.
    """
    for request in requests:
        nic = request.get('nic')
        if nic is not None and nic.vnic_type is None:
            raise exception.InvalidRequest(
                str(request), 'the vnic_type of its NIC is not set'
            )


def check_owner(instance_uuid: str) -> None:
    """Check that an owner is a UUID in the canonical form.

    :raises exception.InvalidRequest: not a UUID, or in another form.
    """
    if not (
        isinstance(instance_uuid, str)
        and uuidutils.is_uuid_like(instance_uuid)
        and str(uuid.UUID(instance_uuid)) == instance_uuid
    ):
        raise exception.InvalidRequest(
            str(instance_uuid),
            'the owner must be a UUID, in lower case and with hyphens',
        )


def check_ids(requests: Sequence[objects.PciRequest]) -> None:
    """Check that the request ids are valid and unique.

    :raises exception.InvalidRequest: an id is invalid or used twice.
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
    """Check that a request id can be stored.

    :param text: the request, for the error.
    :raises exception.InvalidRequest: the id is empty, too long or not
        printable.
    """
    if not 1 <= len(request_id) <= 64 or not request_id.isprintable():
        raise exception.InvalidRequest(
            text, 'its id must have 1 to 64 printable characters'
        )


def _check_request(request: objects.PciRequest, text: str) -> None:
    names = request.pci_flavors
    if not names:
        raise exception.InvalidRequest(text, 'it names no PCI flavor')
    if len(set(names)) < len(names):
        raise exception.InvalidRequest(text, 'names an alternative twice')
    if not 1 <= request.count <= MAX_COUNT:
        raise exception.InvalidRequest(
            text, f'the count must be a number from 1 to {MAX_COUNT}'
        )
    nic = request.get('nic')
    if nic is not None:
        _check_nic(request, nic, text)


def _check_nic(
    request: objects.PciRequest, nic: objects.RequestedNic, text: str
) -> None:
    if request.count != 1 or len(request.pci_flavors) != 1:
        raise exception.InvalidRequest(
            text, 'a NIC needs exactly one device of one PCI flavor'
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


def _parse_request(part: str) -> objects.PciRequest:
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
        # 0 is a count that the check below refuses.
        count=int(count) if _COUNT.fullmatch(count) else 0,
        pci_flavors=names,
        numa_policy=None,
    )
    _check_request(request, part)
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
