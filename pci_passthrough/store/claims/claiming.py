# SPDX-License-Identifier: Apache-2.0
"""Claiming devices: all that an instance requests of a host, or none.

A claim is one transaction on one host, serialized by ``hosts.lock``, and safe
to repeat: a caller that got no answer asks again and gets its own devices.
"""

import collections
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence

import sqlalchemy as sa

from pci_passthrough import claims
from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.objects import fields
from pci_passthrough.specs import request as request_spec
from pci_passthrough.store import database
from pci_passthrough.store import hosts
from pci_passthrough.store import ledger
from pci_passthrough.store import models
from pci_passthrough.store import policy as policy_mod
from pci_passthrough.store.claims import choosing
from pci_passthrough.store.claims import quotas
from pci_passthrough.store.devices import lookup
from pci_passthrough.store.pci_flavors import holders
from pci_passthrough.store.pci_flavors import resolving

_devices = models.pci_devices


def unknown_aggregates() -> claims.HostAggregates:
    """Return the answer where nobody can ask Nova for host aggregates."""
    return claims.HostAggregates({}, 'nobody asks Nova for host aggregates')


def claim(
    db: database.Writer,
    policy: policy_mod.Policy,
    request: claims.ClaimRequest,
    limits_of: quotas.LimitsOf = quotas.no_limits,
    get_aggregates: Callable[[], claims.HostAggregates] = unknown_aggregates,
) -> list[objects.PciDevice]:
    """Claim devices of a host for an instance, for all requests or none.

    Repeating a claim returns the devices that the instance holds by it.

    :param limits_of: returns the limits of the instance's project.
    :param get_aggregates: asks Nova for its host aggregates; called only for
        PCI flavors that are restricted to some.
    :returns: the devices, each with the ``request_id`` that it serves.
    :raises: ClaimRefused with the reasons; HostNotFound; PciFlavorNotFound;
        InvalidRequest; ClaimMismatch if the instance holds other devices for
        the same requests; ClaimContended; LimitsUnknown.
    """
    request_spec.check_owner(request.instance_uuid)
    if not request.requests:
        raise exception.InvalidRequest('', 'it asks for no device')
    request_spec.check(request.requests)
    request_spec.check_ids(request.requests)
    for _ in range(_MOST_TRIES):
        # In each try, because a PCI flavor may have been changed.
        demands: Sequence[claims.Demand] = resolving.demands(
            db, request.requests, request.project_id, request.instance_uuid
        )
        if claims.have_conditions(demands):
            demands = claims.on_host(demands, request.host, get_aggregates())
        limits = quotas.ClaimLimits(request, demands, limits_of)
        try:
            return _claim_once(db, policy, request, demands, limits)
        except choosing.LostRace:
            continue
        except exception.ClaimRefused as refused:
            limits.check_known(refused)
            raise
    raise exception.ClaimContended(
        f'other claims took the devices of {request.host} {_MOST_TRIES} times '
        'in a row'
    )


#: The host's lock makes lost races very rare; many tries would hide a defect.
_MOST_TRIES = 5


@database.retried
def _claim_once(
    db: database.Writer,
    policy: policy_mod.Policy,
    request: claims.ClaimRequest,
    demands: Sequence[claims.Demand],
    limits: quotas.ClaimLimits,
) -> list[objects.PciDevice]:
    host, instance_uuid = request.host, request.instance_uuid
    with db.write() as connection:
        node_id = hosts.lock(connection, host)
        held = lookup.select(
            connection,
            _devices.c.compute_node_id == node_id,
            _devices.c.instance_uuid == instance_uuid,
            _devices.c.request_id.in_([d.request_id for d in demands]),
        )
        if held:
            return _same_claim(instance_uuid, demands, held)
        _check_host_up(connection, host, policy.limits.host_timeout, demands)
        assignments = choosing.choose(
            connection,
            db.catalog,
            policy.vf_placement,
            host,
            node_id,
            instance_uuid,
            demands,
            request.numa,
            limits.take_turns(connection, node_id),
        )
        _lock_resolved(connection, demands, assignments)
        choosing.take(
            connection,
            node_id,
            instance_uuid,
            assignments,
            request.owner_project_id,
        )
        claimed = lookup.select(
            connection, _devices.c.id.in_([a.device_id for a in assignments])
        )
        ledger.append(
            connection,
            [
                ledger.entry(
                    _before_claim(device),
                    'claim',
                    request.actor,
                    device.state,
                    f'request {device.request_id}',
                    instance_uuid,
                    device,
                )
                for device in claimed
            ],
        )
        return claimed


def _lock_resolved(
    connection: sa.Connection,
    demands: Sequence[claims.Demand],
    assignments: Sequence[choosing.Assignment],
) -> None:
    """Lock the PCI flavors of a claim; check that they are as resolved.

    :raises: LostRace if a PCI flavor was deleted or changed after it was
        resolved. What was changed does not matter: a PCI flavor that has
        another name is not the requested one, and one that is not shared any
        more cannot be used.
    """
    uuids = {a.pci_flavor_uuid for a in assignments}
    resolved = {
        alternative.pci_flavor_uuid: alternative.generation
        for demand in demands
        for alternative in demand.alternatives
        if alternative.pci_flavor_uuid in uuids
    }
    if holders.lock_generations(connection, uuids) != resolved:
        raise choosing.LostRace


def _before_claim(claimed: objects.PciDevice) -> objects.PciDevice:
    return claimed.replace(status=fields.DeviceStatus.AVAILABLE)


def _same_claim(
    instance_uuid: str,
    demands: Sequence[claims.Demand],
    held: Sequence[objects.PciDevice],
) -> list[objects.PciDevice]:
    """Return the devices of a repeated claim.

    :raises: ClaimMismatch if they do not fit its requests.
    """
    counts = collections.Counter(device.request_id for device in held)
    flavors = {d.request_id: d.alternatives for d in demands}
    fits = all(counts[d.request_id] == d.count for d in demands) and all(
        any(
            device.pci_flavor_uuid == alternative.pci_flavor_uuid
            for alternative in flavors[str(device.request_id)]
        )
        for device in held
    )
    if not fits:
        raise exception.ClaimMismatch(
            instance_uuid,
            f'{", ".join(lookup.addresses(held))} for requests of the same '
            'id that ask for something else; free them first',
        )
    return list(held)


def _check_host_up(
    connection: sa.Connection,
    host: str,
    host_timeout: float,
    demands: Iterable[claims.Demand],
) -> None:
    """Check that a host's agent has reported recently.

    :raises: ClaimRefused
    """
    nodes = models.compute_nodes
    last = connection.execute(
        sa.select(nodes.c.last_report_at).where(nodes.c.host == host)
    ).scalar_one()
    if last >= hosts.cutoff(host_timeout):
        return
    reasons = [
        objects.RefusalReason(
            host=host,
            request_id=demand.request_id,
            pci_flavor=demand.alternatives[0].name,
            condition='host_down',
            needed=demand.count,
            left=0,
            detail=f'last report at {last} UTC',
        )
        for demand in demands
    ]
    raise exception.ClaimRefused(claims.summarize(reasons), reasons)
