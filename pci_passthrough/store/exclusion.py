# SPDX-License-Identifier: Apache-2.0
"""Devices that exclude each other: a PF and its VFs, and an IOMMU group.

The conditions are part of each query that counts, selects or claims devices;
that a device is excluded is not stored. (The conditions are cached: SQLAlchemy
takes longer to build one than a database to check it.)

* While a virtual function is held, its physical function cannot be claimed,
  and the other way round.
* The devices of one IOMMU group cannot be isolated from each other, so they
  go to one instance only. While an instance holds one of them, the others can
  be claimed by the same instance, and by no other.

A physical function and its virtual functions are related by ``parent_addr``
alone, not by ``dev_type``. A physical function without virtual functions may
be reported as an ordinary device; as long as one of its former virtual
functions is held, it must not be claimed, because that one may come back.

The devices of an IOMMU group have the same ``shared_group``. Few devices have
one, so most are not compared with any other.
"""

import functools
from typing import Any
from typing import Final

import sqlalchemy as sa

from pci_passthrough.objects import fields
from pci_passthrough.objects import lifecycle
from pci_passthrough.store import models

_relative = models.pci_devices.alias('relative')
_member = models.pci_devices.alias('member')

#: Statuses in which a device excludes others.
HELD = tuple(
    status
    for status in fields.DeviceStatus.ALL
    if status != fields.DeviceStatus.AVAILABLE
)

#: The parameter of ``not_excluded_for_claim``: an instance's UUID.
CLAIMANT: Final = 'claimant'


@functools.cache
def not_excluded(device: Any) -> sa.ColumnElement[bool]:
    """Return the condition that nothing excludes a device.

    Each device that is not available counts as held: a virtual function that
    is being cleaned or is quarantined excludes its physical function, too.

    :param device: ``pci_devices`` or an alias of it.
    """
    return sa.and_(
        no_relative_held(device),
        device.c.shared_group.is_(None) | ~is_member_held(device),
    )


@functools.cache
def not_excluded_for_claim(device: Any) -> sa.ColumnElement[bool]:
    """Return ``not_excluded`` for a claim of the instance ``CLAIMANT``.

    Other devices of the IOMMU group do not exclude a device if that instance
    holds them.
    """
    is_own = _member.c.instance_uuid == sa.bindparam(CLAIMANT)
    by_others = _held_member(device).where(
        _member.c.instance_uuid.is_(None) | ~is_own
    )
    return sa.and_(
        no_relative_held(device),
        device.c.shared_group.is_(None) | ~by_others.exists(),
    )


@functools.cache
def no_relative_held(device: Any) -> sa.ColumnElement[bool]:
    """Return the condition that a device's PF or VFs are not held."""
    held_pf = (
        _held_relative(device)
        .where(_relative.c.address == device.c.parent_addr)
        .exists()
    )
    return sa.case(
        (device.c.parent_addr.is_not(None), ~held_pf),
        else_=no_child_held(device),
    )


@functools.cache
def no_child_held(device: Any) -> sa.ColumnElement[bool]:
    """Return the condition that no virtual function of a device is held.

    For a device that is not a virtual function, this is
    ``no_relative_held``.
    """
    hint = 'FORCE INDEX (ix_pci_devices_family)'
    return ~(
        _held_relative(device)
        .where(_relative.c.parent_addr == device.c.address)
        # MariaDB would read all devices of the host instead.
        .with_hint(_relative, hint, 'mysql')
        .with_hint(_relative, hint, 'mariadb')
        .exists()
    )


@functools.cache
def is_member_held(device: Any) -> sa.ColumnElement[bool]:
    """Return the condition that a device of an IOMMU group is held."""
    return _held_member(device).exists()


@functools.cache
def disturbs_nobody(device: Any) -> sa.ColumnElement[bool]:
    """Return the condition that handlers can work on a device.

    A reset of it would reach an instance that holds its physical function, a
    virtual function of it, or another device of its IOMMU group. A virtual
    function waits until its physical function is ready, which makes it anew;
    not for one that handlers leave alone.
    """
    owned = _relative.c.status.in_(lifecycle.OWNED)
    pf = sa.select(_relative.c.id).where(
        _relative.c.compute_node_id == device.c.compute_node_id,
        _relative.c.address == device.c.parent_addr,
        owned
        | (
            (_relative.c.status == fields.DeviceStatus.CLEANING)
            & (_relative.c.presence == fields.Presence.OFFERED)
            & _relative.c.disabled_reason.is_(None)
        ),
    )
    vf = sa.select(_relative.c.id).where(
        _relative.c.compute_node_id == device.c.compute_node_id,
        _relative.c.parent_addr == device.c.address,
        owned,
    )
    member = sa.select(_member.c.id).where(
        _member.c.compute_node_id == device.c.compute_node_id,
        _member.c.shared_group == device.c.shared_group,
        _member.c.status.in_(lifecycle.OWNED),
    )
    return ~pf.exists() & ~vf.exists() & ~member.exists()


def _held_relative(device: Any) -> sa.Select[Any]:
    return sa.select(_relative.c.id).where(
        _relative.c.compute_node_id == device.c.compute_node_id,
        _relative.c.status.in_(HELD),
    )


def _held_member(device: Any) -> sa.Select[Any]:
    """Select held devices of a device's IOMMU group."""
    hint = 'FORCE INDEX (ix_pci_devices_group)'
    return (
        sa.select(_member.c.id)
        .where(
            _member.c.shared_group == device.c.shared_group,
            _member.c.compute_node_id == device.c.compute_node_id,
            _member.c.status.in_(HELD),
        )
        .with_hint(_member, hint, 'mysql')
        .with_hint(_member, hint, 'mariadb')
    )
