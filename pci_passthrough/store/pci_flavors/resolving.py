# SPDX-License-Identifier: Apache-2.0
"""Resolving the PCI flavors that requests name.

``resolve`` returns UUIDs and rules, which Nova's requests carry. ``demands``
returns the matching pool keys, which a decision needs.
"""

from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence

import sqlalchemy as sa

from pci_passthrough import claims
from pci_passthrough import exception
from pci_passthrough import matching
from pci_passthrough import objects
from pci_passthrough.objects import fields
from pci_passthrough.specs import aggregate_metadata
from pci_passthrough.specs import pci_flavor as pci_flavor_spec
from pci_passthrough.specs import request as request_spec
from pci_passthrough.store import database
from pci_passthrough.store import models
from pci_passthrough.store import pool_catalog
from pci_passthrough.store.pci_flavors import lookup


@database.retried
def resolve(
    db: database.Reader,
    requests: Sequence[objects.PciRequest],
    project_id: str | None = None,
    take_disabled: bool = False,
) -> list[objects.ResolvedRequest]:
    """Look up the PCI flavors of requests, in order.

    Disabled PCI flavors are left out. PCI flavors that the project may not
    use do not exist for it. The vnic_type of a request for a NIC is decided.

    :param project_id: the project that requests; None means the operator.
    :param take_disabled: accept disabled PCI flavors, too, because the
        requests are those of an instance that exists already.
    :raises: PciFlavorNotFound; InvalidRequest if a request is malformed, if
        none of its alternatives accepts new requests, or if it is for a NIC
        and its PCI flavor is not.
    """
    request_spec.check(requests)
    names = {name for r in requests for name in r.pci_flavors}
    with db.read() as connection:
        flavors = lookup.find(connection, names, project_id)
        if any(request.get('nic') is not None for request in requests):
            db.catalog.refresh(connection)
    accepted = {f.uuid for f in flavors.values()} if take_disabled else ()
    return [
        objects.ResolvedRequest(
            request_id=request.request_id,
            count=request.count,
            alternatives=[
                _alternative(flavor, _vnic_type(db.catalog, flavor, request))
                for flavor in _usable(flavors, request, accepted)
            ],
        )
        for request in requests
    ]


def _vnic_type(
    catalog: pool_catalog.Catalog,
    flavor: objects.PciFlavor,
    request: objects.PciRequest,
) -> str | None:
    """Return the vnic_type of a request served by a PCI flavor.

    :raises: InvalidRequest if the PCI flavor is not for the request's NIC.
    """
    own: str | None = flavor.vnic_type
    nic = request.get('nic')
    if nic is None:
        return own
    matched = [
        catalog[key_id] for key_id in catalog.of_flavor(flavor) & catalog.ids()
    ]
    # Before any host has reported a device that it matches, a vnic_type that
    # the operator has set is enough.
    if (matched or own is None) and not any(
        matching.is_network_class(key.pci_class) for key in matched
    ):
        raise exception.InvalidRequest(
            str(request),
            f'PCI flavor {flavor.name} matches no network device',
        )
    vnic_type: str = nic.vnic_type or own or fields.VnicType.DIRECT
    if own not in (None, vnic_type):
        raise exception.InvalidRequest(
            str(request),
            f'PCI flavor {flavor.name} is for NICs of vnic_type {own}, '
            f'not {vnic_type}',
        )
    return vnic_type


def _alternative(
    flavor: objects.PciFlavor, vnic_type: str | None
) -> objects.PciAlternative:
    match = pci_flavor_spec.MatchExpression.parse(flavor.match)
    return objects.PciAlternative(
        uuid=flavor.uuid,
        name=flavor.name,
        numa_policy=flavor.numa_policy,
        vnic_type=vnic_type,
        live_migratable=match.live_migratable,
        trusted=match.trusted,
    )


@database.retried
def demands(
    db: database.Reader,
    requests: Iterable[objects.PciRequest],
    project_id: str | None = None,
    instance_uuid: str | None = None,
) -> list[claims.Demand]:
    """Resolve the PCI flavors of requests to the pool keys they match.

    A request for a NIC gets only those pool keys that can serve the NIC.

    Disabled PCI flavors are left out, and PCI flavors that the project may
    not use do not exist for it. But an instance that holds devices by one of
    these can use it: it needs such devices again when it moves.

    :param project_id: the project that requests; None means the operator.
    :param instance_uuid: the instance that the requests are for, if known.
    :raises: PciFlavorNotFound; InvalidRequest if no alternative of a request
        accepts new requests, or the vnic_type of a NIC is not decided.
    """
    requests = list(requests)
    request_spec.check_vnic_types(requests)
    names = {name for r in requests for name in r.pci_flavors}
    with db.read() as connection:
        db.catalog.refresh(connection)
        flavors = lookup.find(connection, names, None)
        held = _held_by(connection, instance_uuid)
    for name in sorted(names):
        flavor = flavors[name]
        if flavor.uuid not in held and not flavor.visible_to(project_id):
            raise exception.PciFlavorNotFound(name)
    return [
        _demand(db.catalog, flavors, request, held) for request in requests
    ]


def _held_by(
    connection: sa.Connection, instance_uuid: str | None
) -> frozenset[str]:
    """Return the PCI flavors by which an instance holds devices."""
    if instance_uuid is None:
        return frozenset()
    devices = models.pci_devices
    return frozenset(
        connection.execute(
            sa.select(devices.c.pci_flavor_uuid)
            .where(devices.c.instance_uuid == instance_uuid)
            .distinct()
        ).scalars()
    )


def _usable(
    flavors: Mapping[str, objects.PciFlavor],
    request: objects.PciRequest,
    even_disabled: Collection[str],
) -> list[objects.PciFlavor]:
    """Return the alternatives that accept a request.

    :param even_disabled: UUIDs of PCI flavors that accept it when disabled.
    :raises: InvalidRequest if there is none.
    """
    usable = [
        flavor
        for flavor in (flavors[name] for name in request.pci_flavors)
        if flavor.state != fields.PciFlavorState.DISABLED
        or flavor.uuid in even_disabled
    ]
    if not usable:
        disabled = ', '.join(request.pci_flavors)
        raise exception.InvalidRequest(
            str(request),
            f'disabled, so taking no requests: PCI flavor {disabled}',
        )
    return usable


def _demand(
    catalog: pool_catalog.Catalog,
    flavors: Mapping[str, objects.PciFlavor],
    request: objects.PciRequest,
    held: Collection[str],
) -> claims.Demand:
    return claims.Demand(
        request.request_id,
        request.count,
        tuple(
            alternative_of(
                catalog, flavor, request.get('nic'), request.numa_policy
            )
            for flavor in _usable(flavors, request, held)
        ),
    )


def alternative_of(
    catalog: pool_catalog.Catalog,
    flavor: objects.PciFlavor,
    nic: objects.RequestedNic | None,
    numa_policy: str | None = None,
) -> claims.Alternative:
    """Return the pool keys and rules by which a PCI flavor serves a request.

    The name that refusals use for it never contains physical networks,
    because projects may read refusals.

    :param nic: the NIC that the devices must serve, with its vnic_type
        decided; None if they are not for a NIC.
    :param numa_policy: the request's policy; None means the PCI flavor's.
    """
    name, key_ids = str(flavor.name), catalog.of_flavor(flavor)
    if nic is not None:
        name += claims.ON_NETWORK
        key_ids = frozenset(
            key_id
            for key_id in key_ids
            if matching.serves_nic(catalog[key_id], nic)
        )
    policy = numa_policy or flavor.numa_policy or fields.NumaPolicy.LEGACY
    return claims.Alternative(
        flavor.uuid,
        name,
        key_ids,
        policy,
        aggregate_metadata.parse(flavor.aggregate_metadata),
        generation=flavor.generation,
    )
