# SPDX-License-Identifier: Apache-2.0
"""The tables, as the newest migration leaves them.

Two things keep the data honest by themselves:

* ``pci_devices.free_key`` is *generated*: the pool key while the device can
  be claimed, else NULL. It is the first column of the index by which pools
  are counted, so no held device is read, and it cannot contradict the status.
* A CHECK constraint ties owner and status: a device has an owner if, and only
  if, it is claimed or allocated.
"""

from typing import Any
from typing import cast

from oslo_db.sqlalchemy import types as db_types
import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.orm import DeclarativeBase

from pci_passthrough.objects import fields
from pci_passthrough.objects import recordable

#: Microseconds on every database; MariaDB would round to seconds.
Timestamp = sa.DateTime().with_variant(
    mysql.DATETIME(fsp=6), 'mysql', 'mariadb'
)

FREE_KEY = (
    "CASE WHEN status = 'available' AND presence = 'offered' "
    'AND disabled_reason IS NULL THEN pool_key_id END'
)
OWNER_CHECK = (
    "(instance_uuid IS NOT NULL) = (status IN ('claimed', 'allocated'))"
)

#: Names, hosts and request ids are compared case-sensitively on every
#: database; MariaDB's default collation equates a and A.
_TABLE_ARGS: dict[str, Any] = {
    'mysql_engine': 'InnoDB',
    'mysql_charset': 'utf8mb4',
    'mysql_collate': 'utf8mb4_bin',
}


#: Columns that are empty, and not NULL, for what is no PCI function and has
#: no such property: no database changes that in place.
ABSENT_AS_EMPTY = ('vendor_id', 'product_id', 'pci_class', 'dev_type')

#: A longer one would make MariaDB copy the tables of earlier releases: the
#: length of up to 255 bytes is one byte. SQLite enforces no length.
_ADDRESS = sa.String(fields.LONGEST_ADDRESS).with_variant(
    sa.String(16), 'sqlite'
)


class Base(DeclarativeBase):
    """Holds the metadata of all tables."""


class ComputeNode(Base):
    """A host whose agent has reported."""

    __tablename__ = 'compute_nodes'
    __table_args__ = _TABLE_ARGS

    id = sa.Column(sa.Integer, primary_key=True)
    host = sa.Column(sa.String(255), nullable=False, unique=True)
    #: written by each transaction that changes the host's devices, which
    #: serializes these, also across the nodes of a Galera cluster
    revision = sa.Column(sa.BigInteger, nullable=False)
    #: these three are of the last report that was applied
    generation = sa.Column(sa.BigInteger, nullable=False)
    sequence = sa.Column(sa.BigInteger, nullable=False)
    digest = sa.Column(sa.String(64), nullable=False)
    agent_version = sa.Column(sa.String(64), nullable=False)
    last_report_at = sa.Column(Timestamp, nullable=False)
    created_at = sa.Column(Timestamp, nullable=False)
    #: version of this project in the host's nova-compute; NULL means that
    #: the resource tracker never registered
    tracker_version = sa.Column(sa.String(64))
    tracker_seen_at = sa.Column(Timestamp)


class PoolKey(Base):
    """A combination of all properties that requests can match. Immutable."""

    __tablename__ = 'pool_keys'
    # Processes cache keys by id, so SQLite must not reuse an id.
    __table_args__ = _TABLE_ARGS | {'sqlite_autoincrement': True}

    id = sa.Column(sa.Integer, primary_key=True)
    #: SHA-256 of all other columns, so that no key exists twice
    digest = sa.Column(sa.String(64), nullable=False, unique=True)
    vendor_id = sa.Column(sa.String(4), nullable=False)
    product_id = sa.Column(sa.String(4), nullable=False)
    subsystem_vendor_id = sa.Column(sa.String(4))
    subsystem_id = sa.Column(sa.String(4))
    pci_class = sa.Column(sa.String(6), nullable=False)
    dev_type = sa.Column(sa.String(16), nullable=False)
    driver = sa.Column(sa.String(recordable.LONGEST['driver']))
    numa_node = sa.Column(sa.Integer)
    vgpu_type = sa.Column(sa.String(recordable.LONGEST['vgpu_type']))
    resource_type = sa.Column(
        sa.String(recordable.LONGEST['resource_type']),
        nullable=False,
        server_default=fields.ResourceType.PCI,
    )
    extra_info = sa.Column(db_types.JsonEncodedDict, nullable=False)


class PciDevice(Base):
    """A device and its owner: the only record of who holds a device."""

    __tablename__ = 'pci_devices'
    __table_args__ = (
        sa.UniqueConstraint(
            'compute_node_id', 'address', name='uniq_pci_devices_address'
        ),
        # For the parts of the pool query; the first also finds candidates.
        sa.Index(
            'ix_pci_devices_free', 'free_key', 'compute_node_id', 'address'
        ),
        sa.Index(
            'ix_pci_devices_family',
            'compute_node_id',
            'parent_addr',
            'status',
            'free_key',
        ),
        sa.Index(
            'ix_pci_devices_type',
            'dev_type',
            'status',
            'compute_node_id',
            'address',
        ),
        sa.Index('ix_pci_devices_pool_key', 'pool_key_id'),
        sa.Index('ix_pci_devices_instance', 'instance_uuid'),
        sa.Index('ix_pci_devices_flavor', 'pci_flavor_uuid'),
        # For the use of a project, by PCI flavor.
        sa.Index('ix_pci_devices_project', 'project_id', 'pci_flavor_uuid'),
        # For the exclusion of devices that share an IOMMU group.
        sa.Index(
            'ix_pci_devices_group',
            'shared_group',
            'compute_node_id',
            'status',
            'free_key',
        ),
        # For the devices of few hosts that share a group.
        sa.Index('ix_pci_devices_sharing', 'compute_node_id', 'shared_group'),
        # For the few devices with which guests could not be started.
        sa.Index(
            'ix_pci_devices_failed',
            'failed_starts',
            'free_key',
            'compute_node_id',
        ),
        sa.CheckConstraint(OWNER_CHECK, name='ck_pci_devices_owner'),
        _TABLE_ARGS,
    )

    id = sa.Column(sa.Integer, primary_key=True)
    uuid = sa.Column(sa.String(36), nullable=False, unique=True)
    compute_node_id = sa.Column(
        sa.Integer,
        sa.ForeignKey('compute_nodes.id', name='fk_pci_devices_compute_node'),
        nullable=False,
    )
    address = sa.Column(_ADDRESS, nullable=False)
    parent_addr = sa.Column(_ADDRESS)
    #: repeated from the pool key, for the exclusion of PF and VFs
    dev_type = sa.Column(sa.String(16), nullable=False)
    pool_key_id = sa.Column(
        sa.Integer,
        sa.ForeignKey('pool_keys.id', name='fk_pci_devices_pool_key'),
        nullable=False,
    )
    status = sa.Column(
        sa.String(16), nullable=False, default=fields.DeviceStatus.AVAILABLE
    )
    presence = sa.Column(
        sa.String(16), nullable=False, default=fields.Presence.OFFERED
    )
    disabled_reason = sa.Column(sa.String(255))
    free_key = sa.Column(sa.Integer, sa.Computed(FREE_KEY, persisted=True))
    instance_uuid = sa.Column(sa.String(36))
    request_id = sa.Column(sa.String(64))
    #: A foreign key, so that no PCI flavor is deleted while a device is held
    #: by it. A read lock would not do: Galera does not replicate locks.
    pci_flavor_uuid = sa.Column(
        sa.String(36),
        sa.ForeignKey('pci_flavors.uuid', name='fk_pci_devices_pci_flavor'),
    )
    iommu_group = sa.Column(sa.Integer)
    devname = sa.Column(sa.String(recordable.LONGEST['devname']))
    mac_address = sa.Column(sa.String(recordable.LONGEST['mac_address']))
    link_speed = sa.Column(sa.Integer)
    total_vfs = sa.Column(sa.Integer)
    capabilities = sa.Column(db_types.JsonEncodedList, nullable=False)
    created_at = sa.Column(Timestamp, nullable=False)
    updated_at = sa.Column(Timestamp)
    #: the pci_information entry; NULL if the agent does not report it
    offered_by = sa.Column(sa.Text)
    serial_number = sa.Column(sa.String(recordable.LONGEST['serial_number']))
    #: why the host refuses it; NULL if it does not
    refusal = sa.Column(sa.Text)
    #: what is at the address of a held device instead; NULL if nothing is
    conflict = sa.Column(sa.Text)
    #: the IOMMU group, if the host reports another device of that group
    shared_group = sa.Column(sa.Integer)
    #: the other columns: see ``objects.PciDevice``
    handlers = sa.Column(db_types.JsonEncodedList)
    on_failure = sa.Column(sa.String(recordable.LONGEST['on_failure']))
    preparation = sa.Column(sa.BigInteger)
    preparation_running = sa.Column(sa.BigInteger)
    preparation_step = sa.Column(sa.String(16))
    preparation_attempt = sa.Column(sa.Integer)
    preparation_since = sa.Column(Timestamp)
    preparation_percent = sa.Column(sa.Integer)
    preparation_text = sa.Column(sa.Text)
    quarantine_reason = sa.Column(sa.Text)
    failed_starts = sa.Column(sa.Integer, nullable=False, server_default='0')
    failed_instances = sa.Column(db_types.JsonEncodedList)
    start_failed_for = sa.Column(sa.String(36))
    start_failure = sa.Column(sa.Text)
    project_id = sa.Column(sa.String(255))


class PciDeviceEvent(Base):
    """An event of the ledger. Rows are only added, and outlive devices."""

    __tablename__ = 'pci_device_events'
    __table_args__ = (
        sa.Index('ix_pci_device_events_device', 'device_uuid'),
        sa.Index('ix_pci_device_events_created', 'created_at'),
        sa.Index('ix_pci_device_events_project', 'project_id', 'created_at'),
        _TABLE_ARGS,
    )

    id = sa.Column(
        sa.BigInteger().with_variant(sa.Integer, 'sqlite'), primary_key=True
    )
    device_uuid = sa.Column(sa.String(36), nullable=False)
    host = sa.Column(sa.String(255), nullable=False)
    address = sa.Column(_ADDRESS, nullable=False)
    created_at = sa.Column(Timestamp, nullable=False)
    action = sa.Column(sa.String(32), nullable=False)
    from_state = sa.Column(sa.String(16))
    to_state = sa.Column(sa.String(16))
    actor = sa.Column(sa.String(255), nullable=False)
    reason = sa.Column(sa.Text)
    instance_uuid = sa.Column(sa.String(36))
    #: these two are of the device after the action: who has used it from then
    #: on, and by which PCI flavor; NULL if nobody, or if it is not known
    project_id = sa.Column(sa.String(255))
    pci_flavor_uuid = sa.Column(sa.String(36))


class PciFlavor(Base):
    """A PCI flavor: a named match expression."""

    __tablename__ = 'pci_flavors'
    __table_args__ = _TABLE_ARGS

    id = sa.Column(sa.Integer, primary_key=True)
    uuid = sa.Column(sa.String(36), nullable=False, unique=True)
    name = sa.Column(sa.String(255), nullable=False, unique=True)
    description = sa.Column(sa.Text)
    match = sa.Column(db_types.JsonEncodedList, nullable=False)
    vnic_type = sa.Column(sa.String(16))
    numa_policy = sa.Column(sa.String(16))
    is_public = sa.Column(sa.Boolean, nullable=False)
    project_id = sa.Column(sa.String(255))
    state = sa.Column(sa.String(16), nullable=False)
    #: see ``fields.PciFlavorOrigin``; NULL if a person made it
    origin = sa.Column(sa.String(16))
    #: an empty object, or NULL, means any host
    aggregate_metadata = sa.Column(db_types.JsonEncodedDict)
    generation = sa.Column(sa.Integer, nullable=False)
    created_at = sa.Column(Timestamp, nullable=False)
    updated_at = sa.Column(Timestamp)
    #: when it was deleted while devices were held by it; else NULL. Nobody
    #: can see or request it, but held devices still refer to it.
    deleted_at = sa.Column(Timestamp)


class PciFlavorAccess(Base):
    """A project with which a PCI flavor is shared."""

    __tablename__ = 'pci_flavor_access'
    __table_args__ = _TABLE_ARGS

    pci_flavor_id = sa.Column(
        sa.Integer,
        sa.ForeignKey(
            'pci_flavors.id',
            name='fk_pci_flavor_access_flavor',
            ondelete='CASCADE',
        ),
        primary_key=True,
    )
    project_id = sa.Column(sa.String(255), primary_key=True)


class SchedulingRefusal(Base):
    """Reasons why the scheduler refused hosts to an instance."""

    __tablename__ = 'scheduling_refusals'
    __table_args__ = (
        sa.Index('ix_scheduling_refusals_instance', 'instance_uuid'),
        sa.Index('ix_scheduling_refusals_created', 'created_at'),
        sa.Index('ix_scheduling_refusals_project', 'project_id', 'created_at'),
        _TABLE_ARGS,
    )

    id = sa.Column(
        sa.BigInteger().with_variant(sa.Integer, 'sqlite'), primary_key=True
    )
    instance_uuid = sa.Column(sa.String(36), nullable=False)
    created_at = sa.Column(Timestamp, nullable=False)
    requests = sa.Column(sa.Text, nullable=False)
    summary = sa.Column(sa.Text, nullable=False)
    reasons = sa.Column(db_types.JsonEncodedList, nullable=False)
    #: the other columns: see ``objects.SchedulingRefusal``; NULL if the
    #: scheduler or the conductor was of an earlier release
    conditions = sa.Column(db_types.JsonEncodedList)
    pci_flavors = sa.Column(db_types.JsonEncodedList)
    project_id = sa.Column(sa.String(255))
    passed = sa.Column(sa.Integer)


class QuotaTurn(Base):
    """A row that claims write one after the other if a limit applies."""

    __tablename__ = 'quota_turns'
    __table_args__ = _TABLE_ARGS

    project_id = sa.Column(sa.String(255), primary_key=True)
    #: no foreign key: a claim locks this row before the PCI flavor
    pci_flavor_uuid = sa.Column(sa.String(36), primary_key=True)
    revision = sa.Column(sa.BigInteger, nullable=False)


class Audit(Base):
    """The last periodic audit; the only row is made by the first one."""

    __tablename__ = 'audits'
    __table_args__ = _TABLE_ARGS

    id = sa.Column(sa.Integer, primary_key=True, autoincrement=False)
    #: when a conductor has last begun one
    begun_at = sa.Column(sa.DateTime, nullable=False)
    #: when the last one that could be finished ended, with what it found: the
    #: number of differences by kind
    ended_at = sa.Column(sa.DateTime)
    differences = sa.Column(db_types.JsonEncodedDict)


compute_nodes = cast(sa.Table, ComputeNode.__table__)
pool_keys = cast(sa.Table, PoolKey.__table__)
pci_devices = cast(sa.Table, PciDevice.__table__)
pci_device_events = cast(sa.Table, PciDeviceEvent.__table__)
pci_flavors = cast(sa.Table, PciFlavor.__table__)
pci_flavor_access = cast(sa.Table, PciFlavorAccess.__table__)
scheduling_refusals = cast(sa.Table, SchedulingRefusal.__table__)
quota_turns = cast(sa.Table, QuotaTurn.__table__)
audits = cast(sa.Table, Audit.__table__)
