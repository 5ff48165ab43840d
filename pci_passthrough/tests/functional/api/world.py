# SPDX-License-Identifier: Apache-2.0
"""A small cloud that tests of the API ask about.

=============  =====================================================
alfa.rack7     four GPUs; the two at NUMA node 0 have ``size: big``,
               one of them is allocated, one at node 1 is disabled
bravo.rack7    a physical function with four virtual ones, one of
               which is allocated
charlie.rack7  two GPUs, of which one is claimed
delta.rack7    two GPUs; is down
=============  =====================================================

Everything has the same UUID in each run. Texts that must not reach a project
are such that they cannot be in an answer by accident.
"""

from collections.abc import Collection
from collections.abc import Mapping
import json
from typing import Any
from urllib import parse

import fixtures
from werkzeug import test

from pci_passthrough import claims
from pci_passthrough import objects
from pci_passthrough.services import quota_limits
from pci_passthrough.store import database
from pci_passthrough.store import models
from pci_passthrough.store import scheduling_refusals
from pci_passthrough.store.claims import claiming
from pci_passthrough.store.claims import transitions
from pci_passthrough.store.devices import lookup
from pci_passthrough.store.devices import operators
from pci_passthrough.store.pci_flavors import editing
from pci_passthrough.store.pci_flavors import validation
from pci_passthrough.tests.functional.api import fixture
from pci_passthrough.tests.functional.store import base as store_base

ALFA = 'alfa.rack7'
BRAVO = 'bravo.rack7'
CHARLIE = 'charlie.rack7'
DELTA = 'delta.rack7'
HOSTS = (ALFA, BRAVO, CHARLIE, DELTA)

OPS = 'ops-8d0c7e'
BLUE = 'blue-3f61ab'
RED = 'red-c92e45'
PROJECTS = (OPS, BLUE, RED)

token = fixture.ApiFixture.token
ADMIN = token('admin', OPS, 'admin', 'member', 'reader')
BLUE_MEMBER = token('berta', BLUE, 'member', 'reader')
BLUE_READER = token('bob', BLUE, 'reader')
RED_MEMBER = token('rosa', RED, 'member', 'reader')
RED_READER = token('rolf', RED, 'reader')
#: Of a project, but without any role that counts.
BLUE_NOBODY = token('nora', BLUE, 'guest')

_GPU = {'vendor_id': '10de'}
_BIG = {'vendor_id': '10de', 'e.size': 'big'}

#: Name to owner and other fields; the last digits of the UUID are the place.
FLAVORS: dict[str, tuple[str | None, dict[str, Any]]] = {
    'bigGPU': (None, {'match': [_BIG], 'description': 'A GPU of 80 GiB'}),
    'gpu': (None, {'match': [_GPU]}),
    'oldGPU': (None, {'match': [_GPU], 'state': 'deprecated'}),
    'offGPU': (None, {'match': [_GPU], 'state': 'disabled'}),
    'pf': (
        None,
        {
            'match': [{'product_id': '1592'}],
            'vnic_type': 'direct-physical',
        },
    ),
    'vf': (None, {'match': [{'product_id': '1889'}], 'vnic_type': 'direct'}),
    'fpga': (None, {'match': [{'vendor_id': '1e24'}]}),
    'blueGPU': (BLUE, {'match': [_GPU], 'is_public': False}),
    'redGPU': (RED, {'match': [_BIG], 'is_public': False}),
    'redBlueGPU': (
        RED,
        {'match': [_GPU], 'is_public': False, 'access': [BLUE]},
    ),
}

#: Those that the project BLUE may use.
SEEN_BY_BLUE = frozenset(FLAVORS) - {'redGPU'}

#: By the name of the PCI flavor that they asked for.
INSTANCES = {
    'bigGPU': '1a57a4ce-0000-4000-8000-000000000001',
    'vf': '1a57a4ce-0000-4000-8000-000000000002',
    'gpu': '1a57a4ce-0000-4000-8000-000000000003',
}


#: Servers that found no host, or not the first one.
BLUE_SERVER = '1a57a4ce-0000-4000-8000-000000000011'
RED_SERVER = '1a57a4ce-0000-4000-8000-000000000012'
OLD_SERVER = '1a57a4ce-0000-4000-8000-000000000013'


def flavor_uuid(name: str) -> str:
    """Return the UUID of a PCI flavor."""
    return f'f1a5012a-0000-4000-8000-{list(FLAVORS).index(name):012}'


def device_uuid(host: str, address: str) -> str:
    """Return the UUID of a device."""
    return lookup.uuid_of(host, address)


class WorldFixture(fixture.ApiFixture):
    """The service with this cloud."""

    def _setUp(self) -> None:
        self.useFixture(
            fixtures.MonkeyPatch(
                f'{quota_limits.__name__}.from_conf', lambda conf: Limits()
            )
        )
        super()._setUp()
        fill(self)


class Limits(quota_limits.NoLimits):
    """Each project may hold one ``gpu``, and five ``bigGPU``."""

    def current(
        self, project_id: str, pci_flavors: Collection[str]
    ) -> Mapping[str, int]:
        """Return the limits of a project."""
        limits = {'gpu': 1, 'bigGPU': 5}
        return {n: limits[n] for n in pci_flavors if n in limits}


def fill(api: fixture.ApiFixture) -> None:
    """Put the cloud into a service's database."""
    big = {'extra_info': {'size': 'big'}}
    gpu = store_base.gpu
    api.add_host(
        ALFA,
        [gpu(1, **big), gpu(2, **big), *(gpu(b, numa_node=1) for b in (3, 4))],
    )
    api.add_host(BRAVO, store_base.family(0x20, 4))
    api.add_host(CHARLIE, [gpu(1), gpu(2)])
    api.add_host(DELTA, [gpu(1), gpu(2)])
    for name, (owner, values) in FLAVORS.items():
        flavor = validation.new(name, owner, values)
        editing.add(api.db, flavor.replace(uuid=flavor_uuid(name)))
    _claim(api, ALFA, 'bigGPU')
    _claim(api, BRAVO, 'vf')
    _claim(api, CHARLIE, 'gpu')
    for host, name in ((ALFA, 'bigGPU'), (BRAVO, 'vf')):
        transitions.allocate(api.db, host, INSTANCES[name], 'test')
    operators.disable(api.db, f'{ALFA}/0000:04:00.0', 'ECC errors', 'test')
    with api.db.write() as connection:
        connection.execute(
            models.compute_nodes.update()
            .where(models.compute_nodes.c.host == DELTA)
            .values(last_report_at=database.now().replace(year=2020))
        )
    _refuse(api)


def _refuse(api: fixture.ApiFixture) -> None:
    """Record refusals; a scheduler of an earlier release sent the first."""
    reasons = [
        ['2 free gpu, 4 needed', 7654321, [ALFA, CHARLIE]],
        ['no free blueGPU', 1, [BRAVO]],
        ['has not reported for too long', 1, [DELTA]],
    ]
    older = objects.SchedulingRefusal(
        instance_uuid=OLD_SERVER,
        requests='gpu:4|blueGPU',
        summary='19 hosts: no',
        reasons=reasons,
        created_at=None,
    )
    newer = older.replace(
        conditions=['too_few', 'none_free', 'host_down'],
        pci_flavors=['gpu', 'blueGPU', ''],
        passed=0,
    )
    for refusal in (
        older,
        newer.replace(instance_uuid=RED_SERVER, project_id=RED),
        newer.replace(
            instance_uuid=BLUE_SERVER,
            project_id=BLUE,
            requests='gpu',
            passed=5,
        ),
        newer.replace(instance_uuid=BLUE_SERVER, project_id=BLUE),
    ):
        scheduling_refusals.add(api.db, refusal, 7)


def _claim(
    api: fixture.ApiFixture, host: str, name: str
) -> list[objects.PciDevice]:
    return claiming.claim(
        api.db,
        store_base.POLICY,
        claims.ClaimRequest(
            host,
            INSTANCES[name],
            [store_base.request(name)],
            'test',
            owner_project_id=RED if name == 'vf' else BLUE,
        ),
    )


class Client:
    """Sends requests to a service with a token, without a network.

    :param token: the token; an empty one means none.
    """

    def __init__(self, api: fixture.ApiFixture, token: str = '') -> None:
        self._client = test.Client(api.application)
        self._headers = {'X-Auth-Token': token} if token else {}

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        **query: Any,
    ) -> Any:
        """Send a request; return Werkzeug's ``TestResponse``.

        :param path: as people write it, not encoded.
        :param body: sent as JSON; bytes are sent as they are.
        """
        arguments: dict[str, Any] = {}
        if body is not None:
            arguments['content_type'] = 'application/json'
            arguments['data'] = (
                body if isinstance(body, bytes) else json.dumps(body)
            )
        # Half a character is sent, too.
        how = 'surrogatepass'
        return self._client.open(
            parse.quote(path, safe='/', errors=how),
            method=method,
            headers={**self._headers, **(headers or {})},
            query_string=parse.urlencode(query, doseq=True, errors=how),
            **arguments,
        )
