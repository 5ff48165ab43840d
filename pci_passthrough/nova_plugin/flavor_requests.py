# SPDX-License-Identifier: Apache-2.0
"""Makes requests for PCI flavors from a Nova flavor's extra specs.

Nova makes the requests of a flavor with ``nova.pci.request``, again for each
operation: nova-api for a new server and for a resize, nova-compute for each
move to its host. Three functions of Nova are replaced here.
"""

from collections.abc import Callable
from collections.abc import Mapping
import functools
import inspect
import threading
from typing import Any

from oslo_context import context as oslo_context

from pci_passthrough import exception
from pci_passthrough.nova_plugin import client
from pci_passthrough.nova_plugin import guard
from pci_passthrough.nova_plugin import needs
from pci_passthrough.nova_plugin import requests
from pci_passthrough.nova_plugin import user_errors
from pci_passthrough.nova_plugin.compat import errors
from pci_passthrough.objects import fields
from pci_passthrough.specs import request as request_spec

#: An extra spec of Nova. Nova does not read it for resizes and moves.
_POLICY_EXTRA_SPEC = 'hw:pci_numa_affinity_policy'


class _Thread(threading.local):
    """The move that a thread of nova-compute is claiming for.

    :ivar moving: Nova's instance; None if the thread claims for no move.
    :ivar migration: Nova's record of the move, if there is one.
    """

    moving: Any = None
    migration: Any = None

    @property
    def is_live(self) -> bool:
        """Whether the move is a live migration."""
        return bool(self.migration and self.migration.is_live_migration)


_thread = _Thread()


def moving_instance_uuid() -> str | None:
    """Return the UUID of the instance for whose move this thread claims.

    :returns: None if this thread does not claim for a move.
    """
    return None if _thread.moving is None else str(_thread.moving.uuid)


def wrap_get_pci_requests_from_flavor(
    original: Callable[..., Any],
) -> Callable[..., Any]:
    """Replace ``nova.pci.request.get_pci_requests_from_flavor``.

    nova-api calls it for a new server and a resize, nova-compute for a move.
    The replacement adds requests for PCI flavors to Nova's. It leaves out the
    mark that a Nova without the plugin refuses.
    """

    @functools.wraps(original)
    def get_pci_requests_from_flavor(
        flavor: Any, affinity_policy: str | None = None
    ) -> Any:
        specs = requests.extra_specs(flavor)
        pci_requests = original(
            {'extra_specs': guard.unmarked(specs)}
            if guard.is_marked(specs)
            else flavor,
            affinity_policy=affinity_policy,
        )
        if not requests.asks_for_pci_flavors(flavor):
            return pci_requests
        if _thread.is_live:
            # Nova claims for a live migration by the requests that the
            # instance has, and new requests would have other ids. Nova
            # itself adds the requests of NICs.
            held, make = _thread.moving.pci_requests, None
        else:
            held, make = None, _maker(affinity_policy)
        pci_requests.requests.extend(
            needs.of_flavor(flavor, held and held.requests, make)
        )
        return pci_requests

    return get_pci_requests_from_flavor


def wrap_move_claim(original: Callable[..., Any]) -> Callable[..., Any]:
    """Replace ``nova.compute.resource_tracker.ResourceTracker._move_claim``.

    nova-compute calls it for each move to its host, and makes the requests of
    the flavor in it. The replacement remembers the instance meanwhile: its
    project may have lost the right to use the PCI flavors, and keeps them;
    and Nova does not pass on the NUMA policy of the image.
    """
    signature = inspect.signature(original)

    @functools.wraps(original)
    def _move_claim(*args: Any, **kwargs: Any) -> Any:
        given = signature.bind(*args, **kwargs).arguments
        before = _thread.moving, _thread.migration
        _thread.moving = given['instance']
        _thread.migration = given.get('migration')
        try:
            return original(*args, **kwargs)
        finally:
            _thread.moving, _thread.migration = before

    return _move_claim


def wrap_generate_request_groups(
    original: Callable[..., Any],
) -> Callable[..., Any]:
    """Replace ``RequestSpec.generate_request_groups_from_pci_requests``.

    Nova calls it when it makes the query to Placement, which knows no PCI
    flavors: the replacement hides requests for PCI flavors meanwhile.
    """

    @functools.wraps(original)
    def generate_request_groups_from_pci_requests(spec: Any) -> Any:
        if 'pci_requests' not in spec or not _has_pci_flavors(
            spec.pci_requests
        ):
            return original(spec)
        hidden_in = spec.pci_requests.requests
        all_requests = list(hidden_in)
        # An assignment to a slice does not mark the object as changed.
        hidden_in[:] = requests.native(all_requests)
        try:
            return original(spec)
        finally:
            hidden_in[:] = all_requests

    return generate_request_groups_from_pci_requests


def _has_pci_flavors(pci_requests: Any) -> bool:
    return bool(pci_requests) and bool(
        requests.for_pci_flavors(pci_requests.requests)
    )


def make_for_existing(
    flavor: Any, image: Any, policy: str | None = None
) -> list[Any]:
    """Make the requests for PCI flavors of an existing instance's flavor.

    Its project may have lost the right to use the PCI flavors, and keeps
    them. Nova does not pass on the NUMA policy of the image.

    :param image: Nova's ``ImageMeta``; may be empty.
    :param policy: the NUMA policy that Nova passes on.
    :raises: PciPassthroughError
    """
    specs = requests.extra_specs(flavor)
    policy = (
        policy
        or specs.get(_POLICY_EXTRA_SPEC)
        or requests.policy_of_image(image)
    )
    return _resolve(specs, policy, None, take_disabled=True)


def make_for_user(flavor: Any) -> list[Any]:
    """Make the requests for PCI flavors of a flavor, in nova-api.

    :raises: RequestRefused, PciFlavorsUnavailable
    """
    return _maker(None)(flavor)


def _maker(policy: str | None) -> needs.Make:
    """Return the function that makes the requests of a flavor here.

    :returns: raises RequestRefused in nova-api if the user can correct the
        error, and PciFlavorsUnavailable if not; in nova-compute
        ComputeResourcesUnavailable.
    """
    moving = _thread.moving

    def for_user(flavor: Any) -> list[Any]:
        specs = requests.extra_specs(flavor)
        project = requests.project_of(oslo_context.get_current())
        with user_errors.refused_as(user_errors.RequestRefused):
            return _resolve(
                specs, policy or specs.get(_POLICY_EXTRA_SPEC), project
            )

    def for_move(flavor: Any) -> list[Any]:
        try:
            return make_for_existing(flavor, moving.image_meta, policy)
        except exception.PciPassthroughError as error:
            raise errors.ComputeResourcesUnavailable(
                reason=user_errors.text_for_users(error)
            ) from error

    return for_user if moving is None else for_move


def _resolve(
    specs: Mapping[str, str],
    policy: str | None,
    project: str | None,
    take_disabled: bool = False,
) -> list[Any]:
    """Let the conductor look up the PCI flavors that extra specs name."""
    _check_policy(policy)
    wanted = request_spec.from_extra_specs(specs)
    answers = client.conductor().resolve(
        wanted, project, take_disabled=take_disabled
    )
    return [
        requests.make_flavor_request(request, answer.alternatives, policy)
        for request, answer in zip(wanted, answers, strict=True)
    ]


def _check_policy(policy: str | None) -> None:
    if policy is not None and policy not in fields.NumaPolicy.ALL:
        raise exception.InvalidRequest(
            f'{_POLICY_EXTRA_SPEC} = {policy}',
            f'is none of {", ".join(fields.NumaPolicy.ALL)}',
        )
