# SPDX-License-Identifier: Apache-2.0
"""A small cloud that the stories are about.

=============  =====================================================
alfa.rack7     four GPUs; two have ``size: big`` and one of them is
               allocated, one is disabled
bravo.rack7    a physical function with four virtual ones, one of
               which is allocated; a disk that the host keeps, and
               one that is not clean
charlie.rack8  two GPUs, of which one is claimed
delta.rack8    two GPUs; is down
=============  =====================================================
"""

from typing import Final

from pci_passthrough import claims
from pci_passthrough import objects
from pci_passthrough.store import database
from pci_passthrough.store import models
from pci_passthrough.store import scheduling_refusals
from pci_passthrough.store.claims import claiming
from pci_passthrough.store.claims import transitions
from pci_passthrough.store.devices import operators
from pci_passthrough.store.devices import reports
from pci_passthrough.tests.functional.api import fixture
from pci_passthrough.tests.functional.store import base as store_base

ALFA: Final = 'alfa.rack7'
BRAVO: Final = 'bravo.rack7'
CHARLIE: Final = 'charlie.rack8'
DELTA: Final = 'delta.rack8'

#: Of the disk that is not clean yet.
DIRTY: Final = '0000:08:00.0'

#: By the name of the PCI flavor through which they hold a device.
INSTANCES: Final = {
    'bigGPU': '1a57a4ce-0000-4000-8000-000000000001',
    '10g': '1a57a4ce-0000-4000-8000-000000000002',
    'gpu': '1a57a4ce-0000-4000-8000-000000000003',
}

#: A server of the project that found no host.
REFUSED: Final = '1a57a4ce-0000-4000-8000-000000000011'

_GPU: Final = {'vendor_id': '10de'}
_BIG: Final = {'vendor_id': '10de', 'e.size': 'big'}


def fill(api: fixture.ApiFixture, project_id: str) -> None:
    """Put the cloud into a service's database.

    :param project_id: the project that ``blueGPU`` is shared with.
    """
    big = {'extra_info': {'size': 'big'}}
    gpu = store_base.gpu
    api.add_host(
        ALFA,
        [gpu(1, **big), gpu(2, **big), *(gpu(b, numa_node=1) for b in (3, 4))],
    )
    disk = store_base.device(
        '0000:07:00.0',
        vendor_id='144d',
        product_id='a824',
        pci_class='010802',
        driver='nvme',
        refusal='its disk nvme0n1p1 is mounted at /boot/efi',
    )
    dirty = disk.replace(
        address=DIRTY, refusal=None, handlers=['nvme-sanitize']
    )
    api.add_host(BRAVO, [])
    offered = [*store_base.family(0x20, 4), dirty]
    reports.apply(
        api.db, store_base.full_report(BRAVO, offered, refused=[disk])
    )
    api.add_host(CHARLIE, [gpu(1), gpu(2)])
    api.add_host(DELTA, [gpu(1), gpu(2)])
    _add_flavors(api, project_id)
    for host, name in ((ALFA, 'bigGPU'), (BRAVO, '10g'), (CHARLIE, 'gpu')):
        _claim(api, host, name)
    for host, name in ((ALFA, 'bigGPU'), (BRAVO, '10g')):
        transitions.allocate(api.db, host, INSTANCES[name], 'nova-compute')
    operators.disable(api.db, f'{ALFA}/0000:04:00.0', 'ECC errors', 'olga')
    silence(api, DELTA)
    _refuse(api, project_id)


def silence(api: fixture.ApiFixture, host: str) -> None:
    """Let a host be down."""
    with api.db.write() as connection:
        connection.execute(
            models.compute_nodes.update()
            .where(models.compute_nodes.c.host == host)
            .values(last_report_at=database.now().replace(year=2020))
        )


def _add_flavors(api: fixture.ApiFixture, project_id: str) -> None:
    api.add_flavor(
        'bigGPU', match=[_BIG], description='A GPU with 80 GiB of memory'
    )
    api.add_flavor('gpu', match=[_GPU], description='Any GPU')
    api.add_flavor(
        'scratch', match=[{'vendor_id': '144d'}], description='A fast disk'
    )
    api.add_flavor(
        'oldGPU',
        match=[_GPU],
        state='deprecated',
        description='Any GPU, by its former name',
    )
    api.add_flavor(
        '10g',
        match=[{'product_id': '1889'}],
        vnic_type='direct',
        description='A NIC with 10 Gbit/s',
    )
    api.add_flavor(
        'fpga', match=[{'vendor_id': '1e24'}], description='An FPGA card'
    )
    api.add_flavor(
        'blueGPU', None, match=[_GPU], is_public=False, access=[project_id]
    )
    api.add_flavor('redGPU', None, match=[_BIG], is_public=False)


def _claim(api: fixture.ApiFixture, host: str, name: str) -> None:
    claiming.claim(
        api.db,
        store_base.POLICY,
        claims.ClaimRequest(
            host, INSTANCES[name], [store_base.request(name)], 'nova-compute'
        ),
    )


def _refuse(api: fixture.ApiFixture, project_id: str) -> None:
    scheduling_refusals.add(
        api.db,
        objects.SchedulingRefusal(
            instance_uuid=REFUSED,
            requests='bigGPU:4',
            summary='3 hosts: no',
            reasons=[
                ['1 free bigGPU, 4 needed', 2, [ALFA, CHARLIE]],
                ['has not reported for too long', 1, [DELTA]],
            ],
            conditions=['too_few', 'host_down'],
            pci_flavors=['bigGPU', ''],
            passed=0,
            project_id=project_id,
            created_at=None,
        ),
        7,
    )
