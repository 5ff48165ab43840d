# SPDX-License-Identifier: Apache-2.0
"""A large made-up cloud, written straight into a database."""

from collections.abc import Iterator
import datetime
from typing import Any

from oslo_utils import uuidutils

from pci_passthrough import objects
from pci_passthrough.objects import fields
from pci_passthrough.store import database
from pci_passthrough.store import models
from pci_passthrough.store import pool_keys
from pci_passthrough.store.devices import lookup

#: Devices of one host: 2 PFs with 24 VFs each, 6 GPUs, 4 NVMe.
VFS_PER_PF = 24
DEVICES_PER_HOST = 2 * (1 + VFS_PER_PF) + 6 + 4

_ROWS_AT_ONCE = 5000


def host_name(number: int) -> str:
    """Return the name of a host."""
    return f'compute-{number:05}'


def _key(numa_node: int, **values: Any) -> objects.PoolKey:
    defaults: dict[str, Any] = dict.fromkeys(objects.POOL_FIELDS)
    defaults['resource_type'] = fields.ResourceType.PCI
    return objects.PoolKey(
        **{
            **defaults,
            'dev_type': fields.DevType.STANDARD,
            'numa_node': numa_node,
            'extra_info': (),
            **values,
        }
    )


def _nic(numa_node: int, physnet: str, dev_type: str) -> objects.PoolKey:
    is_pf = dev_type == fields.DevType.SRIOV_PF
    return _key(
        numa_node,
        vendor_id='8086',
        product_id='1592' if is_pf else '1889',
        pci_class='020000',
        dev_type=dev_type,
        extra_info=(('physical_network', physnet),),
    )


def _host_devices(number: int) -> Iterator[tuple[str, str | None, Any]]:
    """Yield (address, parent address, pool key) of a host's devices."""
    for pf in range(2):
        physnet = f'physnet{(number + pf) % 4}'
        pf_address = f'0000:{pf + 1:02x}:00.0'
        yield pf_address, None, _nic(pf, physnet, fields.DevType.SRIOV_PF)
        for vf in range(8, 8 + VFS_PER_PF):
            address = f'0000:{pf + 1:02x}:{vf // 8:02x}.{vf % 8}'
            key = _nic(pf, physnet, fields.DevType.SRIOV_VF)
            yield address, pf_address, key
    for gpu in range(6):
        product = ('2330', '20b5', '26b9')[(number + gpu) % 3]
        key = _key(
            gpu % 2, vendor_id='10de', product_id=product, pci_class='030200'
        )
        yield f'0000:{0x20 + gpu:02x}:00.0', None, key
    for disk in range(4):
        key = _key(
            disk % 2, vendor_id='144d', product_id='a824', pci_class='010802'
        )
        yield f'0000:{0x40 + disk:02x}:00.0', None, key


def fill(
    db: database.Writer, hosts: int, grouped_hosts: int | None = None
) -> None:
    """Write hosts with all their devices.

    Every tenth VF and every third GPU is allocated, and the PFs of every
    fiftieth host.

    :param grouped_hosts: on every so many-th host, two GPUs each share an
        IOMMU group, and so do two disks each; None means on no host.
    """
    now = database.now()
    keys = {key for number in range(12) for *_, key in _host_devices(number)}
    with db.write() as connection:
        ids = pool_keys.ensure(connection, keys)
        connection.execute(
            models.compute_nodes.insert(),
            [_node(number, now) for number in range(hosts)],
        )
    rows: list[dict[str, Any]] = []
    for number in range(hosts):
        grouped = grouped_hosts is not None and number % grouped_hosts == 0
        rows += _rows(number, ids, now, grouped)
        if len(rows) >= _ROWS_AT_ONCE or number == hosts - 1:
            with db.write() as connection:
                connection.execute(models.pci_devices.insert(), rows)
            rows = []


def _node(number: int, now: datetime.datetime) -> dict[str, Any]:
    return {
        'id': number + 1,
        'host': host_name(number),
        'revision': 0,
        'generation': 1,
        'sequence': 1,
        'digest': '',
        'agent_version': 'bench',
        # Nobody reports here: far enough ahead for a whole run.
        'last_report_at': now + datetime.timedelta(days=1),
        'tracker_version': 'bench',
        'tracker_seen_at': now + datetime.timedelta(days=1),
        'created_at': now,
    }


def _rows(
    number: int,
    ids: dict[objects.PoolKey, int],
    now: datetime.datetime,
    grouped: bool,
) -> Iterator[dict[str, Any]]:
    for place, (address, parent, key) in enumerate(_host_devices(number)):
        whole_pf = number % 50 == 0
        held = (
            (parent is not None and place % 10 == 0 and not whole_pf)
            or (key.vendor_id == '10de' and place % 3 == 0)
            or (key.dev_type == fields.DevType.SRIOV_PF and whole_pf)
        )
        status = (
            fields.DeviceStatus.ALLOCATED
            if held
            else fields.DeviceStatus.AVAILABLE
        )
        # The first GPU has an even place, as has the first disk.
        in_group = grouped and key.dev_type == fields.DevType.STANDARD
        yield {
            'shared_group': place // 2 if in_group else None,
            'uuid': lookup.uuid_of(host_name(number), address),
            'compute_node_id': number + 1,
            'address': address,
            'parent_addr': parent,
            'dev_type': key.dev_type,
            'pool_key_id': ids[key],
            'status': status,
            'presence': fields.Presence.OFFERED,
            'instance_uuid': uuidutils.generate_uuid() if held else None,
            'request_id': 'bench' if held else None,
            'capabilities': [],
            'created_at': now,
        }
