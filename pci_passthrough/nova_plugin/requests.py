# SPDX-License-Identifier: Apache-2.0
"""Requests for PCI flavors, as Nova carries them.

Nova makes requests anew from the flavor's extra specs whenever it needs
them: nova-api for a new server and for a resize, nova-compute for every move
to its host. All go through ``nova.pci.request``.

A request of ours is an ``InstancePCIRequest`` with one spec for each
alternative, in order of preference::

    {'pci_flavor': <UUID>, 'pci_flavor_name': <name>}

No pool of Nova's own has such a key, so a process without the door finds no
device for it. ``alias_name`` is what the extra spec said; None there means a
request for a NIC, whose only spec says what the device needs beside::

    {'pci_flavor_vnic_type': 'direct',
     'pci_flavor_physical_networks': '["physnet1"]'}
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import functools
import inspect
import threading
from typing import Any

from oslo_context import context as oslo_context
from oslo_log import log as logging
from oslo_serialization import jsonutils

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.nova_plugin import client
from pci_passthrough.nova_plugin.compat import errors
from pci_passthrough.nova_plugin.compat import pools
from pci_passthrough.objects import fields
from pci_passthrough.specs import request as request_spec

LOG = logging.getLogger(__name__)

#: What whoever asks can mend. All else is the operator's business.
_USERS_FAULTS = (
    exception.InvalidNic,
    exception.InvalidRequest,
    exception.PciFlavorNotFound,
)

#: In a spec: the UUID of a PCI flavor. No other request has it.
_UUID = 'pci_flavor'

#: Its name, for people who look into Nova's database.
_NAME = 'pci_flavor_name'

#: Of a NIC: its vNIC type, and the physical networks of its network as JSON.
_VNIC_TYPE = 'pci_flavor_vnic_type'
_PHYSICAL_NETWORKS = 'pci_flavor_physical_networks'

#: As in ``[pci] alias``: Nova moves running instances only with it.
_LIVE_MIGRATABLE = 'live_migratable'

#: Nova's own extra spec and image property. Its resize and its moves do not
#: look at them any more.
_POLICY_EXTRA_SPEC = 'hw:pci_numa_affinity_policy'
_POLICY_IMAGE_PROPERTY = 'hw_pci_numa_affinity_policy'


class RequestRefused(errors.PciRequestAliasNotDefined):
    """A flavor asks for what cannot be given: HTTP 400."""

    msg_fmt = '%(reason)s'


class PciFlavorsUnavailable(errors.Unauthorized):
    """Nobody can say what a flavor asks for: HTTP 503.

    Why is the operator's business, and in the log.
    """

    msg_fmt = 'PCI flavors cannot be looked up now, try again later'
    code = 503
    safe = True


class _Thread(threading.local):
    """What a thread is in the middle of.

    :ivar moving: Nova's instance for whose move a resource tracker claims.
    :ivar is_live: whether it moves while it runs.
    """

    moving: Any = None
    is_live: bool = False


_thread = _Thread()


def is_ours(request: Any) -> bool:
    """Whether an ``InstancePCIRequest`` asks for PCI flavors."""
    specs = getattr(request, 'spec', None)
    return isinstance(specs, list) and bool(specs) and _UUID in specs[0]


def ours(requests: Iterable[Any] | None) -> list[Any]:
    """Return those ``InstancePCIRequest`` objects that are ours."""
    return [request for request in requests or () if is_ours(request)]


def natives(requests: Iterable[Any] | None) -> list[Any]:
    """Return those ``InstancePCIRequest`` objects that are Nova's own."""
    return [request for request in requests or () if not is_ours(request)]


def asks(flavor: Any) -> bool:
    """Whether a flavor's extra specs ask for PCI flavors."""
    return any(
        key == request_spec.EXTRA_SPEC
        or key.startswith(request_spec.EXTRA_SPEC_PREFIX)
        for key in _extra_specs(flavor)
    )


def nic_of(request: Any) -> objects.RequestedNic | None:
    """Return what a request of ours needs for its NIC.

    :returns: None: the request is a flavor's.
    """
    spec = request.spec[0]
    if _VNIC_TYPE not in spec:
        return None
    return objects.RequestedNic(
        vnic_type=spec[_VNIC_TYPE],
        physical_networks=jsonutils.loads(spec[_PHYSICAL_NETWORKS]),
    )


def is_of_nic(request: Any) -> bool:
    """Whether an ``InstancePCIRequest`` asks for a PCI flavor for a NIC."""
    return is_ours(request) and nic_of(request) is not None


def _of_flavors(requests: Iterable[Any] | None) -> list[Any]:
    """Return those of our requests that are no NIC's."""
    return [one for one in ours(requests) if nic_of(one) is None]


def missing(flavor: Any, pci_requests: Any) -> bool:
    """Whether requests lack what the flavor asks for.

    Then they were made by a process without the door, nova-api as a rule,
    and the instance would come without its devices.

    :param pci_requests: an ``InstancePCIRequests``, or None.
    """
    requests = pci_requests.requests if pci_requests else None
    return asks(flavor) and not _of_flavors(requests)


def to_pci_request(
    request: Any, policy: str | None = None
) -> objects.PciRequest:
    """Return a request of ours as the conductor knows it.

    :param policy: a NUMA policy, if the request has none itself.
    """
    return objects.PciRequest(
        request_id=request.request_id,
        count=request.count,
        pci_flavors=[spec[_UUID] for spec in request.spec],
        numa_policy=request.numa_policy or policy,
        nic=nic_of(request),
    )


def in_words(requests: Iterable[Any]) -> str:
    """Return requests of ours as the extra spec says them, for operators."""
    return ','.join(map(_in_words, requests))


def _in_words(request: Any) -> str:
    nic = nic_of(request)
    if nic is None:
        return f'{request.alias_name}:{request.count}'
    networks = ', '.join(nic.physical_networks) or 'no physical network'
    return f'{request.spec[0][_NAME]} ({nic.vnic_type} NIC on {networks})'


def policy_of_image(image: Any) -> str | None:
    """Return the NUMA policy which an image asks for.

    :param image: Nova's ``ImageMeta``; may be empty.
    """
    properties = getattr(image, 'properties', None)
    if properties is None:
        return None
    policy: str | None = properties.get(_POLICY_IMAGE_PROPERTY)
    return policy


def wrap_get_pci_requests_from_flavor(
    original: Callable[..., Any],
) -> Callable[..., Any]:
    """Add our requests to ``nova.pci.request``'s."""

    @functools.wraps(original)
    def get_pci_requests_from_flavor(
        flavor: Any, affinity_policy: str | None = None
    ) -> Any:
        found = original(flavor, affinity_policy=affinity_policy)
        if _thread.is_live:
            # It keeps them: Nova claims for a live migration by the requests
            # which the instance has, and would later find others there.
            kept = _thread.moving.pci_requests
            # Nova adds those of NICs itself.
            found.requests.extend(_of_flavors(kept and kept.requests))
        elif asks(flavor):
            found.requests.extend(_from_flavor(flavor, affinity_policy))
        return found

    return get_pci_requests_from_flavor


def wrap_move_claim(original: Callable[..., Any]) -> Callable[..., Any]:
    """Remember for whom ``ResourceTracker._move_claim`` asks for requests.

    The instance was admitted long ago, so nobody's right to use the PCI
    flavors is looked at again. Nova has forgotten the image's NUMA policy
    there.
    """
    signature = inspect.signature(original)

    @functools.wraps(original)
    def _move_claim(*args: Any, **kwargs: Any) -> Any:
        given = signature.bind(*args, **kwargs).arguments
        migration = given.get('migration')
        before = _thread.moving, _thread.is_live
        _thread.moving = given['instance']
        _thread.is_live = bool(migration and migration.is_live_migration)
        try:
            return original(*args, **kwargs)
        finally:
            _thread.moving, _thread.is_live = before

    return _move_claim


def mover() -> str | None:
    """Return the instance for whose move this thread claims, if it does."""
    return None if _thread.moving is None else str(_thread.moving.uuid)


def wrap_generate_request_groups(
    original: Callable[..., Any],
) -> Callable[..., Any]:
    """Keep our requests from Placement, which knows no PCI flavors."""

    @functools.wraps(original)
    def generate_request_groups_from_pci_requests(spec: Any) -> Any:
        if 'pci_requests' not in spec or not _holds_ours(spec.pci_requests):
            return original(spec)
        found = spec.pci_requests.requests
        kept = list(found)
        # Nothing is marked as changed by an assignment to a slice.
        found[:] = natives(kept)
        try:
            return original(spec)
        finally:
            found[:] = kept

    return generate_request_groups_from_pci_requests


def _holds_ours(pci_requests: Any) -> bool:
    return bool(pci_requests) and bool(ours(pci_requests.requests))


def _extra_specs(flavor: Any) -> Mapping[str, str]:
    if not flavor or 'extra_specs' not in flavor:
        return {}
    found: Mapping[str, str] | None = flavor['extra_specs']
    return found or {}


def _from_flavor(flavor: Any, policy: str | None) -> list[Any]:
    """Return our requests of a flavor.

    :raises: what Nova understands, where it asks.
    """
    specs = _extra_specs(flavor)
    policy = policy or specs.get(_POLICY_EXTRA_SPEC)
    if _thread.moving is None:
        with refused_as(RequestRefused):
            return _resolved(specs, policy)
    try:
        image = _thread.moving.image_meta
        return _resolved(specs, policy or policy_of_image(image))
    except exception.PciPassthroughError as error:
        raise errors.ComputeResourcesUnavailable(
            reason=_for_users(error)
        ) from error


@contextlib.contextmanager
def refused_as(refusal: Callable[..., Exception]) -> Iterator[None]:
    """Turn errors into what Nova's API answers with.

    :param refusal: makes the one for what the user can mend, of a reason.
    :raises PciFlavorsUnavailable: it is nothing that the user can mend.
    """
    try:
        yield
    except exception.PciPassthroughError as error:
        if isinstance(error, _USERS_FAULTS):
            raise refusal(reason=error.text) from error
        LOG.error('PCI flavors cannot be looked up: %s', error.text)
        raise PciFlavorsUnavailable from error


def _for_users(error: exception.PciPassthroughError) -> str:
    """Return what a project may read of an error."""
    if isinstance(error, _USERS_FAULTS):
        return error.text
    LOG.error('PCI flavors cannot be looked up: %s', error.text)
    return 'PCI flavors cannot be looked up now'


def _check_policy(policy: str | None) -> None:
    if policy is not None and policy not in fields.NumaPolicy.ALL:
        raise exception.InvalidRequest(
            f'{_POLICY_EXTRA_SPEC} = {policy}',
            f'is none of {", ".join(fields.NumaPolicy.ALL)}',
        )


def _resolved(specs: Mapping[str, str], policy: str | None) -> list[Any]:
    _check_policy(policy)
    wanted = request_spec.from_extra_specs(specs)
    moving = _thread.moving is not None
    answers = client.conductor().resolve(
        wanted,
        None if moving else project_of(oslo_context.get_current()),
        take_disabled=moving,
    )
    return [
        pools.InstancePCIRequest(
            count=one.count,
            spec=_specs(answer.alternatives),
            alias_name='|'.join(one.pci_flavors),
            numa_policy=policy,
            request_id=one.request_id,
        )
        for one, answer in zip(wanted, answers, strict=True)
    ]


def _specs(alternatives: list[objects.PciAlternative]) -> list[dict[str, str]]:
    migratable = all(one.live_migratable for one in alternatives)
    extra = {_LIVE_MIGRATABLE: 'true'} if migratable else {}
    return [{_UUID: a.uuid, _NAME: a.name, **extra} for a in alternatives]


def project_of(context: Any) -> str | None:
    """Return on whose behalf Nova asks; None: the operator's.

    :param context: of the request; None: there is none.
    """
    if context is None or context.is_admin:
        return None
    project: str | None = context.project_id
    return project


def for_nic(
    alternative: objects.PciAlternative,
    nic: objects.RequestedNic,
    request_id: str,
    port_id: str | None,
    policy: str | None,
) -> Any:
    """Return Nova's request for a NIC.

    :param alternative: the PCI flavor.
    :param nic: what else the device has to be.
    :param port_id: the user's port, if there is one.
    :param policy: the NUMA policy; None: the PCI flavor's.
    """
    (spec,) = _specs([alternative])
    return pools.InstancePCIRequest(
        count=1,
        spec=[
            {
                **spec,
                _VNIC_TYPE: nic.vnic_type,
                _PHYSICAL_NETWORKS: jsonutils.dumps(nic.physical_networks),
            }
        ],
        # What tells Nova that it is a NIC's.
        alias_name=None,
        numa_policy=policy,
        request_id=request_id,
        requester_id=port_id,
    )
