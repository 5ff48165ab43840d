# SPDX-License-Identifier: Apache-2.0
"""Calls as they travel: made by a client, answered by an endpoint.

``python -m pci_passthrough.tests.functional.services.wire FOLDER`` records
one of each call and its answer. What was recorded with a release is kept for
ever: conductors must go on to understand it.
"""

from collections.abc import Collection
from collections.abc import Mapping
import json
import pathlib
import sys
import tempfile
from typing import Any

from pci_passthrough import claims
from pci_passthrough import objects
from pci_passthrough import reporting
from pci_passthrough import rpc
from pci_passthrough import store
from pci_passthrough.demo import inventory
from pci_passthrough.demo import testdriver
from pci_passthrough.discovery import libvirt_host
from pci_passthrough.discovery import scan
from pci_passthrough.discovery import sysfs_reader
from pci_passthrough.services import endpoint
from pci_passthrough.services import operator_endpoint
from pci_passthrough.services import preparation_endpoint
from pci_passthrough.services import quota_endpoint
from pci_passthrough.services import quota_limits
from pci_passthrough.specs import pci_information
from pci_passthrough.store.pci_flavors import editing
from pci_passthrough.tests import sqlite
from pci_passthrough.tests.unit.rpc import driver

INSTANCE = '5b0b5f2c-6a3e-4e5a-9d0e-0d6f3c1f7a10'
HOST = 'compute-1'


class Limits(quota_limits.NoLimits):
    """Each project may hold one device of each PCI flavor."""

    def current(
        self, project_id: str, pci_flavors: Collection[str]
    ) -> Mapping[str, int]:
        """Return the limit of each PCI flavor."""
        return dict.fromkeys(pci_flavors, 1)


class Endpoint:
    """A conductor's endpoints on SQLite, reached as through a broker."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.db = store.Writer(sqlite.create(folder / 'db'))
        editing.create(self.db, '10g', None, match=[{'e.group': '10g'}])
        policy = store.Policy(store.Limits(3600, 180))
        conductor = endpoint.ConductorEndpoint(self.db, policy)
        self.observations = conductor.observations
        self._dispatcher = driver.Dispatcher(
            conductor,
            operator_endpoint.OperatorEndpoint(self.db, policy.limits),
            preparation_endpoint.PreparationEndpoint(self.db, policy),
            quota_endpoint.QuotaEndpoint(self.db, Limits()),
        )

    def answer(self, message: dict[str, Any]) -> Any:
        """Answer one message."""
        return self._dispatcher.answer(message)


def _snapshot(folder: pathlib.Path, nics: int) -> reporting.Snapshot:
    host = testdriver.write_host(
        inventory.build_host(
            inventory.HostShape(HOST, nics=nics, vfs=1, gpus=0, nvmes=0)
        ),
        folder,
    )
    libvirt = libvirt_host.LibvirtHost(host.uri)
    libvirt.connect()
    try:
        result = scan.scan(
            libvirt.list_node_devices(),
            sysfs_reader.SysfsReader(str(host.host_root)),
            pci_information.PciInformation.parse(
                [
                    '{"match": {"class": "network"}, "extra_info": '
                    '{"physical_network": "physnet1", "group": "10g"}}'
                ]
            ),
        )
    finally:
        libvirt.close()
    return reporting.Snapshot.of(
        [offer.device for offer in result.offered],
        result.others,
        [refused.device for refused in result.refused],
    )


def _prepare(client: rpc.ConductorClient, device: objects.PciDevice) -> None:
    """Report only this device, with a handler, and have it cleaned."""
    snapshot = reporting.Snapshot.of([device.replace(handlers=['reset'])])
    client.report(
        snapshot.full_report(sequence=3, host=HOST, agent_version='1.1.0')
    )
    client.set_device(f'{HOST}/{device.address}', 'clean', 'dust', 'operator')
    [todo] = client.preparations(HOST)
    address, fence = str(todo.address), int(todo.fence)
    client.may_prepare(HOST, address, fence)
    client.preparation_progress(HOST, address, fence, 40, 'reset')
    client.prepared(HOST, address, fence, True, 'done')


def record(folder: pathlib.Path) -> None:
    """Make one of each call, and write it and its answer to a file."""
    with tempfile.TemporaryDirectory() as name:
        work = pathlib.Path(name)
        conductor = Endpoint(work)
        recorded: list[dict[str, Any]] = []

        def answer(message: dict[str, Any]) -> Any:
            answered = conductor.answer(message)
            recorded.append({'call': message, 'answer': answered})
            return answered

        client, _ = driver.client(answer)
        before, after = _snapshot(work, 2), _snapshot(work, 1)
        header = {'host': HOST, 'agent_version': '1.1.0'}
        client.report(before.full_report(sequence=1, **header))
        client.heartbeat(HOST, 1, before.digest)
        client.report(after.report_since(before, 1, sequence=2, **header))
        request = objects.PciRequest(
            request_id='a', count=1, pci_flavors=['10g'], numa_policy=None
        )
        numa = objects.NumaAffinity(nodes=[0], socket_nodes=[0, 1])
        nic = objects.RequestedNic(
            vnic_type=None, physical_networks=['physnet1']
        )
        for_nic = request.replace(request_id='b', nic=nic)
        client.resolve([request], 'a project')
        [resolved] = client.resolve([for_nic], 'a project')
        nic.vnic_type = resolved.alternatives[0].vnic_type
        client.register_tracker(HOST, '1.1.0')
        client.free_by_numa_node()
        client.offer([request], [HOST, 'compute-2'], 'a project', INSTANCE)
        client.offer([for_nic], [HOST, 'compute-2'], 'a project', INSTANCE)
        client.check_quota('mine', [request], 2)
        client.project_limits(['mine'], ['10g'])
        client.claim(
            claims.ClaimRequest(
                HOST, INSTANCE, [request], 'nova', numa, 'a project', 'mine'
            )
        )
        client.allocate(HOST, INSTANCE, 'nova', ['a'])
        client.abort(HOST, INSTANCE, 'nova')
        [freed] = client.free(None, INSTANCE, 'nova', ['a'])
        client.claim(
            claims.ClaimRequest(
                HOST, INSTANCE, [for_nic], 'nova', numa, 'a project'
            )
        )
        client.free(None, INSTANCE, 'nova', ['b'])
        client.adopt(
            HOST,
            INSTANCE,
            'a',
            [freed.address],
            'nova',
            project_id='mine',
        )
        client.host_devices(HOST)
        client.given_out(HOST)
        failed = claims.FailedCondition('no free 10g', 'none_free')
        refused = {failed: [HOST]}
        client.note_refusals(INSTANCE, '1 host: no free 10g', refused, '10g')
        client.close()
        client.start_failed(HOST, INSTANCE, 'vfio: busy', 'nova')
        client.guest_started(HOST, INSTANCE, 'nova')
        client.free(None, INSTANCE, 'nova', ['a'])
        _prepare(client, after.offered[freed.address])
        conductor.db.close()
    names = (
        'report-full', 'heartbeat', 'report-changes', 'resolve',
        'resolve-nic', 'register_tracker', 'free_by_numa_node', 'offer',
        'offer-nic', 'check_quota', 'project_limits', 'claim', 'allocate',
        'abort', 'free', 'claim-nic',
        'free-nic', 'adopt', 'host_devices', 'given_out', 'note_refusals',
        'start_failed', 'guest_started', 'free-started', 'report-handlers',
        'set_device', 'preparations', 'may_prepare', 'preparation_progress',
        'prepared',
    )  # fmt: skip
    for number, (name, call) in enumerate(
        zip(names, recorded, strict=True), 1
    ):
        (folder / f'{number:02}-{name}.json').write_text(
            json.dumps(call, indent=1, sort_keys=True) + '\n'
        )


if __name__ == '__main__':
    record(pathlib.Path(sys.argv[1]))
