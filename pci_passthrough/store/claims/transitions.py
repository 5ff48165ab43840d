# SPDX-License-Identifier: Apache-2.0
"""Taking devices and giving them back.

Each operation is one transaction on one host (``free`` may touch several),
serialized per host by ``hosts.lock``, and safe to repeat: a caller that got
no answer asks again and finds its own devices.
"""

import collections
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Sequence
import datetime

import sqlalchemy as sa

from pci_passthrough import claims
from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.objects import fields
from pci_passthrough.objects import lifecycle
from pci_passthrough.specs import request as request_spec
from pci_passthrough.store import database
from pci_passthrough.store import hosts
from pci_passthrough.store import ledger
from pci_passthrough.store import models
from pci_passthrough.store import policy as policy_mod
from pci_passthrough.store import pool_catalog
from pci_passthrough.store.claims import taking
from pci_passthrough.store.devices import lookup
from pci_passthrough.store.pci_flavors import resolving
from pci_passthrough.store.pci_flavors import use

_devices = models.pci_devices


def claim(
    db: database.Writer,
    policy: policy_mod.Policy,
    host: str,
    instance_uuid: str,
    requests: Sequence[objects.PciRequest],
    actor: str,
    numa: objects.NumaAffinity | None = None,
    project_id: str | None = None,
) -> list[objects.PciDevice]:
    """Hold devices of a host for an instance, all requests or none.

    Repeating a claim returns what the instance holds by it already.

    :param actor: for the ledger.
    :param numa: where the instance is on the host, None if anywhere.
    :param project_id: on whose behalf; None: the operator's.
    :returns: the devices, each with the ``request_id`` that it serves.
    :raises: ClaimRefused with the reasons; HostNotFound; PciFlavorNotFound;
        InvalidRequest; ClaimMismatch if the instance holds other devices for
        the same requests; ClaimContended.
    """
    request_spec.check_owner(instance_uuid)
    if not requests:
        raise exception.InvalidRequest('', 'it asks for no device')
    request_spec.check(requests)
    request_spec.check_ids(requests)
    for _ in range(_MOST_TRIES):
        # Anew each time: a PCI flavor may have been changed.
        demands = resolving.demands(db, requests, project_id, instance_uuid)
        try:
            return _claim_once(
                db, policy, host, instance_uuid, demands, actor, numa
            )
        except taking.LostRace:
            continue
    raise exception.ClaimContended(
        f'devices of {host} were taken by others {_MOST_TRIES} times in a row'
    )


#: The host's lock makes a lost race all but impossible; more tries than a
#: few would hide a defect.
_MOST_TRIES = 5


@database.retried
def _claim_once(
    db: database.Writer,
    policy: policy_mod.Policy,
    host: str,
    instance_uuid: str,
    demands: Sequence[claims.Demand],
    actor: str,
    numa: objects.NumaAffinity | None,
) -> list[objects.PciDevice]:
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
        _must_be_up(connection, host, policy.limits.host_timeout, demands)
        taken = taking.choose(
            connection,
            db.catalog,
            policy.vf_placement,
            host,
            node_id,
            demands,
            numa,
        )
        _must_still_fit(connection, db.catalog, taken)
        taking.take(connection, node_id, instance_uuid, taken)
        claimed = lookup.select(
            connection, _devices.c.id.in_([t.device_id for t in taken])
        )
        ledger.append(
            connection,
            [
                ledger.entry(
                    _as_it_was(device),
                    'claim',
                    actor,
                    device.state,
                    f'request {device.request_id}',
                    instance_uuid,
                )
                for device in claimed
            ],
        )
        return claimed


def _must_still_fit(
    connection: sa.Connection,
    catalog: pool_catalog.Catalog,
    taken: Sequence[taking.Taken],
) -> None:
    """Keep what was resolved from changing until the claim is committed.

    :raises: LostRace if a PCI flavor was deleted, or was changed and does
        not match a device that is to be taken by it.
    """
    matches = use.lock_matches(connection, {t.pci_flavor_uuid for t in taken})
    fitting = {u: catalog.matching(match) for u, match in matches.items()}
    if any(t.key_id not in fitting.get(t.pci_flavor_uuid, ()) for t in taken):
        raise taking.LostRace


def allocate(
    db: database.Writer,
    host: str,
    instance_uuid: str,
    actor: str,
    request_ids: Collection[str] | None = None,
) -> list[objects.PciDevice]:
    """Turn an instance's claims on a host into allocations.

    :param request_ids: only of these requests; None: of all.
    :returns: the allocated devices, those too that were it before.
    :raises: ClaimMismatch if it holds none; HostNotFound.
    """
    request_spec.check_owner(instance_uuid)
    moved = _move(db, 'allocate', host, instance_uuid, actor, request_ids)
    if not moved:
        raise exception.ClaimMismatch(
            instance_uuid, f'none on {host} for what is to be allocated'
        )
    return moved


def abort(
    db: database.Writer,
    host: str,
    instance_uuid: str,
    actor: str,
    request_ids: Collection[str] | None = None,
) -> list[objects.PciDevice]:
    """Give back what is claimed and not allocated; nothing is fine.

    :returns: the devices given back.
    """
    request_spec.check_owner(instance_uuid)
    return _give_back(db, 'abort', host, instance_uuid, actor, request_ids)


def free(
    db: database.Writer,
    instance_uuid: str,
    actor: str,
    host: str | None = None,
    request_ids: Collection[str] | None = None,
) -> list[objects.PciDevice]:
    """Give back all that an instance holds; nothing is fine.

    :param host: only on this host; None: on all.
    :returns: the devices given back.
    """
    request_spec.check_owner(instance_uuid)
    if host is not None:
        return _give_back(db, 'free', host, instance_uuid, actor, request_ids)
    freed = []
    for name in sorted(
        {d.host for d in lookup.get_all(db, instance_uuid=instance_uuid)}
    ):
        freed += _give_back(
            db, 'free', name, instance_uuid, actor, request_ids
        )
    return freed


def _give_back(
    db: database.Writer,
    action: str,
    host: str,
    instance_uuid: str,
    actor: str,
    request_ids: Collection[str] | None,
) -> list[objects.PciDevice]:
    try:
        return _move(db, action, host, instance_uuid, actor, request_ids)
    except exception.HostNotFound:
        return []


@database.retried
def _move(
    db: database.Writer,
    action: str,
    host: str,
    instance_uuid: str,
    actor: str,
    request_ids: Collection[str] | None,
) -> list[objects.PciDevice]:
    transition = lifecycle.TRANSITIONS[action]
    with db.write() as connection:
        node_id = hosts.lock(connection, host)
        conditions = [
            _devices.c.compute_node_id == node_id,
            _devices.c.instance_uuid == instance_uuid,
            _devices.c.status.in_((*transition.sources, transition.target)),
        ]
        if request_ids is not None:
            conditions.append(_devices.c.request_id.in_(sorted(request_ids)))
        held = lookup.select(connection, *conditions)
        todo = [d for d in held if d.status in transition.sources]
        at = database.now()
        after = {d.uuid: d for d in held} | {
            d.uuid: _after(d, transition.target, at) for d in todo
        }
        if todo:
            _write(connection, todo, transition.target, at)
            ledger.append(
                connection,
                [
                    ledger.entry(d, action, actor, after[d.uuid].state)
                    for d in todo
                ],
            )
            lookup.forget_left(
                connection, [after[d.uuid] for d in todo], actor
            )
            if transition.target not in lifecycle.OWNED:
                hosts.ask_for_report(connection, node_id)
        return [after[d.uuid] for d in held]


def _write(
    connection: sa.Connection,
    todo: Sequence[objects.PciDevice],
    status: str,
    at: datetime.datetime,
) -> None:
    values = {'status': status, 'updated_at': at}
    if status not in lifecycle.OWNED:
        values |= dict.fromkeys(_OWNER_COLUMNS)
    connection.execute(
        _devices.update()
        .where(_devices.c.uuid.in_([device.uuid for device in todo]))
        .values(values)
    )


_OWNER_COLUMNS = ('instance_uuid', 'request_id', 'pci_flavor_uuid')


def _after(
    device: objects.PciDevice, status: str, at: datetime.datetime
) -> objects.PciDevice:
    if status not in lifecycle.OWNED:
        device = device.replace(**dict.fromkeys(_OWNER_COLUMNS))
    return device.replace(status=status, updated_at=at)


def _as_it_was(claimed: objects.PciDevice) -> objects.PciDevice:
    return claimed.replace(status=fields.DeviceStatus.AVAILABLE)


def _same_claim(
    instance_uuid: str,
    demands: Sequence[claims.Demand],
    held: Sequence[objects.PciDevice],
) -> list[objects.PciDevice]:
    """Return the devices of a claim that is repeated."""
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


def _must_be_up(
    connection: sa.Connection,
    host: str,
    host_timeout: float,
    demands: Iterable[claims.Demand],
) -> None:
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
