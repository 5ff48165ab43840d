# SPDX-License-Identifier: Apache-2.0
"""Tests of the way out of PCI flavors, and of the way back."""

from collections.abc import Mapping
import contextlib
import io
import json
import os
import pathlib
import subprocess
import sys
from typing import Any
from typing import ClassVar

import fixtures
from nova import context as nova_context
from nova import exception as nova_exception
from nova import objects as nova_objects
from nova.db.api import models as api_models
from nova.db.main import models as main_models
from nova.tests.fixtures import libvirt as fakelibvirt
from oslo_db import exception as db_exception
from oslo_serialization import jsonutils
from oslo_utils import uuidutils
import sqlalchemy
from sqlalchemy import orm
import testtools

import pci_passthrough
from pci_passthrough.cmd import status
from pci_passthrough.nova_plugin import requests
from pci_passthrough.nova_plugin.compat import records
from pci_passthrough.nova_plugin.install import bootstrap
from pci_passthrough.store.devices import lookup
from pci_passthrough.store.devices import operators
from pci_passthrough.tests.nova import base
from pci_passthrough.tests.nova import leaving

_IDS = {
    'vendor_id': fakelibvirt.PCI_VEND_ID,
    'product_id': fakelibvirt.PCI_PROD_ID,
}
_HOSTS = {'c0': 0x81, 'c1': 0x82}


class GpuTest(leaving.LeavingTest):
    """Two hosts, each with two devices of the PCI flavor ``gpu``."""

    #: host to its cell, for hosts outside of the first one
    CELLS: ClassVar[Mapping[str, str]] = {}
    #: as export-nova writes it
    PCI_ALIAS = [jsonutils.dumps({'name': 'gpu'} | _IDS)]

    def setUp(self) -> None:
        super().setUp()
        self.pci_flavor = self.create_pci_flavor('gpu', _IDS)
        self.devices = {}
        for host, bus in _HOSTS.items():
            info = fakelibvirt.HostPCIDevicesInfo(
                num_pci=2, num_pfs=0, num_vfs=0, bus=bus
            )
            self.devices[host] = base.offered(info)
            self.start_host(
                host, native=0, info=info, cell=self.CELLS.get(host)
            )

    def use_device_spec(self) -> None:
        """Move the devices of all hosts to device_spec."""
        self.flags(device_spec=[jsonutils.dumps(_IDS)], group='pci')
        for host in _HOSTS:
            self.report(
                host,
                [],
                withdrawn=[device.address for device in self.devices[host]],
            )
            self.restart(host)

    def use_pci_information(self) -> None:
        """Move the devices of all hosts to pci_information."""
        self.flags(device_spec=[], group='pci')
        for host in _HOSTS:
            self.report(host, self.devices[host])
            self.restart(host)


class TestThereAndBack(GpuTest):
    """Servers live with the Nova plugin, then without it, then with it."""

    def test_there_and_back(self) -> None:
        """A server keeps its device, and moves natively."""
        flavor_id = self.create_flavor('gpu:1')
        name = self.flavor(flavor_id).name
        server = self.boot(flavor_id=flavor_id)
        (before,) = self.requests_of(server)
        former = self.flavor(flavor_id).extra_specs
        host = self.host_of(server)
        addresses = self.assert_guest_has(host, server, 1)

        to_do = {name: ('to be rewritten', None)}
        to_do[server['id']] = ('to be rewritten', None)
        self.assertEqual((3, to_do), self.manage('leave'))
        self.assertEqual(former, self.flavor(flavor_id).extra_specs)
        code, rows = self.manage('leave', '--apply')
        self.assertEqual((0, to_do.keys()), (code, rows.keys()))
        self.assertEqual((0, {}), self.manage('leave', '--apply'))

        (native,) = self.requests_of(server)
        self.assertEqual(
            (before.request_id, 'gpu', [_IDS]),
            (native.request_id, native.alias_name, native.spec),
        )
        self.use_device_spec()
        self.restart_without_plugin()
        self.assertEqual(addresses, self.hostdevs(host, server))
        other = self.boot(flavor_id=flavor_id)
        self.assertEqual(1, len(self.hostdevs(self.host_of(other), other)))
        self._migrate_server(server)
        self._wait_for_state_change(server, 'VERIFY_RESIZE')
        self._confirm_resize(server)
        moved_to = self.host_of(server)
        self.assertNotEqual(host, moved_to)
        self.assertEqual(1, len(self.hostdevs(moved_to, server)))

        bootstrap.install()
        self.restart_scheduler()
        self.use_pci_information()
        code, rows = self.manage('return', '--apply')
        self.assertEqual(
            (0, {name, server['id'], other['id']}), (code, set(rows))
        )
        self.assertEqual((0, {}), self.manage('return'))
        self.assertEqual(former, self.flavor(flavor_id).extra_specs)
        for each in (server, other):
            (request,) = self.requests_of(each)
            self.assertTrue(requests.is_for_pci_flavor(request))
            self.assertEqual('gpu', request.alias_name)
            self.assert_guest_has(self.host_of(each), each, 1)
            (device,) = lookup.get_all(self.db, instance_uuid=each['id'])
            self.assertEqual(
                (request.request_id, self.pci_flavor.uuid),
                (device.request_id, device.pci_flavor_uuid),
            )
        self._delete_server(server)
        self._delete_server(other)
        self.assert_clean(*_HOSTS)


class TestLater(GpuTest):
    """Moves without the Nova plugin, of servers that were left."""

    def test_unshelve_and_evacuate(self) -> None:
        """Nova finds devices natively for what was shelved or is lost."""
        flavor_id = self.create_flavor('gpu:1')
        shelved = self.boot(flavor_id=flavor_id, host='c1')
        lost = self.boot(flavor_id=flavor_id, host='c0')
        self._shelve_server(shelved)
        code, rows = self.manage('leave', '--apply')
        self.assertEqual(0, code)
        self.assertLessEqual({shelved['id'], lost['id']}, set(rows))
        self.use_device_spec()
        self.restart_without_plugin()
        self.force_down('c0')
        self._evacuate_server(lost)
        self.restart('c0')
        self._unshelve_server(shelved)
        for server in (shelved, lost):
            self.requests_of(server)
            host = self.host_of(server)
            self.assertEqual(1, len(self.hostdevs(host, server)))
        self.assertEqual('c1', self.host_of(lost))


class TestCells(GpuTest):
    """Two hosts in two cells."""

    NUMBER_OF_CELLS = 2
    CELLS: ClassVar[Mapping[str, str]] = {'c0': 'cell1', 'c1': 'cell2'}

    def instance(self, server: Mapping[str, Any]) -> Any:
        """Return Nova's object of a server, of any cell."""
        (instance,) = (
            instance
            for instance in records.instances()
            if instance.uuid == server['id']
        )
        return instance

    def test_all_cells(self) -> None:
        """Servers are rewritten in the database of their cell, and back."""
        flavor_id = self.create_flavor('gpu:1')
        servers = [
            self.boot(flavor_id=flavor_id, host=host) for host in _HOSTS
        ]
        former = [self.requests_of(server) for server in servers]
        code, rows = self.manage('leave', '--apply')
        self.assertEqual(0, code)
        self.assertLessEqual({server['id'] for server in servers}, set(rows))
        for server in servers:
            (request,) = self.requests_of(server)
            self.assertEqual([_IDS], request.spec)
        self.assertEqual(0, self.manage('return', '--apply')[0])
        for server, (before,) in zip(servers, former, strict=True):
            (after,) = self.requests_of(server)
            self.assertEqual(before.spec, after.spec)


class TestGuard(GpuTest):
    """The mark that a Nova without the plugin refuses."""

    def test_guard(self) -> None:
        """With the plugin servers start and move; without it nothing does."""
        flavor_id = self.create_flavor('gpu')
        name = self.flavor(flavor_id).name
        server = self.boot(flavor_id=flavor_id)
        self.assertIn(f'{name} ask for PCI flavors', self.upgrade_check())
        with base.replaced(
            nova_objects.Instance, '_save_pci_requests', _interrupt
        ):
            code, rows = self.manage('guard', '--apply')
        self.assertEqual((0, {name, server['id']}), (code, set(rows)))
        self.assertEqual((0, {}), self.manage('guard'))
        self.assertNotIn('ask for PCI flavors', self.upgrade_check())
        self._delete_server(self.boot(flavor_id=flavor_id))
        host = self.host_of(server)
        self._migrate_server(server)
        self._wait_for_state_change(server, 'VERIFY_RESIZE')
        self._confirm_resize(server)
        self.assertNotEqual(host, self.host_of(server))

        bootstrap.uninstall()
        refusal = self.refused(self.boot, flavor_id=flavor_id)
        self.assertEqual(400, refusal[0])
        self.assertIn('needs-pci-passthrough is not defined', refusal[1])
        bootstrap.install()
        self.manage('leave', '--apply')
        specs = self.flavor(flavor_id).extra_specs
        self.assertEqual('gpu:1', specs['pci_passthrough:alias'])

    def upgrade_check(self) -> str:
        """Return the output of ``pci-passthrough-status upgrade check``."""
        out = io.StringIO()
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            arguments = [f'--nova-conf={self.nova_conf}', '--json']
            status.main(['upgrade', 'check', *arguments])
        return out.getvalue()


class TestObstacles(GpuTest):
    """Not everything can be turned native."""

    def test_named(self) -> None:
        """Each obstacle has its row; the others are rewritten meanwhile."""
        self.create_pci_flavor('tagged', {**_IDS, 'e.size': 'big'})
        expressible = self.create_flavor('gpu')
        obstacles = {
            self.flavor(self.create_flavor(text)).name: part
            for text, part in (
                ('gpu|tagged', 'alternatives gpu|tagged'),
                ('tagged:1', 'no equivalent alias'),
                ('unknown:1', 'does not exist'),
            )
        }
        device = self.devices['c1'][0]
        operators.disable(self.db, f'c1/{device.address}', 'broken', 'test')
        left_out = f'c1/{device.address}'
        resized = self.boot(flavor_id=expressible)
        self._migrate_server(resized)
        self._wait_for_state_change(resized, 'VERIFY_RESIZE')
        code, rows = self.manage('leave', '--apply')
        self.assertEqual(3, code)
        rewritten = self.flavor(expressible).name
        self.assertEqual(
            {rewritten, resized['id'], left_out, *obstacles}, set(rows)
        )
        self.assertEqual('rewritten', rows[rewritten][0])
        self.assertIn('resized', rows[resized['id']][0])
        self.assertIn('disabled (broken)', rows[left_out][0])
        for name, part in obstacles.items():
            self.assertIn(part, rows[name][0])
        self._confirm_resize(resized)
        _, rows = self.manage('leave', '--apply', '--left-out', left_out)
        self.assertEqual('rewritten', rows.pop(resized['id'])[0])
        self.assertEqual(obstacles.keys(), rows.keys())

    def test_alias(self) -> None:
        """nova.conf has no alias, or one with another meaning."""
        name = self.flavor(self.create_flavor('gpu')).name
        for aliases, part in (
            ([], 'no alias gpu'),
            (
                [
                    jsonutils.dumps(
                        {**_IDS, 'name': 'gpu', 'product_id': 'abcd'}
                    )
                ],
                'another meaning',
            ),
        ):
            self.flags(alias=aliases, group='pci')
            code, rows = self.manage('leave', '--apply')
            self.assertEqual(3, code)
            self.assertIn(part, rows[name][0])
            remedy = rows[name][1]
            line = remedy.removeprefix('write alias = ')
            line = line.removesuffix(' instead')
            self.assertEqual({**_IDS, 'name': 'gpu'}, json.loads(line))

    def test_stale_spec(self) -> None:
        """A reverted resize leaves its requests in the spec.

        The server is then deleted, and can still be restored.
        """
        self.create_pci_flavor('card', {'vendor_id': _IDS['vendor_id']})
        server = self.boot('gpu')
        self._resize_server(server, self.create_flavor('card'))
        self._wait_for_state_change(server, 'VERIFY_RESIZE')
        self._revert_resize(server)
        _, rows = self.manage('leave')
        self.assertEqual(('to be rewritten', None), rows[server['id']])
        self.flags(reclaim_instance_interval=3600)
        self.api.delete_server(server['id'])
        self._wait_for_state_change(server, 'SOFT_DELETED')
        _, rows = self.manage('leave', '--apply')
        self.assertEqual(('rewritten', None), rows[server['id']])
        (request,) = self.requests_of(server)
        self.assertEqual([_IDS], request.spec)

    def test_in_creation(self) -> None:
        """Of the servers being created, those with PCI flavors count."""
        context = nova_context.get_admin_context()
        made = []
        for flavor_id in (self.create_flavor('gpu'), self.create_flavor(None)):
            made.append(
                nova_objects.BuildRequest(
                    context,
                    instance_uuid=uuidutils.generate_uuid(),
                    project_id='p',
                    instance=nova_objects.Instance(
                        flavor=self.flavor(flavor_id), pci_requests=None
                    ),
                    block_device_mappings=nova_objects.BlockDeviceMappingList(
                        objects=[]
                    ),
                    tags=nova_objects.TagList(objects=[]),
                )
            )
            made[-1].instance.uuid = made[-1].instance_uuid
            made[-1].create()
        _, rows = self.manage('leave', '--apply')
        self.assertIn('created', rows[made[0].instance_uuid][0])
        self.assertNotIn(made[1].instance_uuid, rows)

    def test_interrupted(self) -> None:
        """A run that ended between two records is completed by the next."""
        flavor_id = self.create_flavor('gpu')
        server = self.boot(flavor_id=flavor_id)
        with base.replaced(nova_objects.Flavor, 'save_extra_specs', _fail):
            code, rows = self.manage('leave', '--apply')
        self.assertEqual(3, code)
        name = self.flavor(flavor_id).name
        self.assertIn('FlavorExtraSpecsNotFound', rows[name][0])
        self.assertEqual('rewritten', rows[server['id']][0])
        with base.replaced(nova_objects.Instance, 'save', _fail_in_database):
            code, rows = self.manage('return', '--apply')
        self.assertEqual(3, code)
        self.assertIn('DBError', rows[server['id']][0])
        self.manage('return', '--apply')
        for words in (('leave',), ('return',)):
            with base.replaced(nova_objects.RequestSpec, 'save', _interrupt):
                code, _, _ = self.run_manage(*words, '--apply')
            self.assertEqual(_INTERRUPTED, code)
            code, rows = self.manage(*words, '--apply')
            self.assertEqual((0, {server['id']}), (code, set(rows)))
            self.requests_of(server)
            self.assertEqual((0, {}), self.manage(*words))


#: cliff's exit status after Ctrl-C
_INTERRUPTED = 130


def _interrupt(*args: Any, **kwargs: Any) -> None:
    raise KeyboardInterrupt


def _fail(*args: Any, **kwargs: Any) -> None:
    raise nova_exception.FlavorExtraSpecsNotFound(
        extra_specs_key='key', flavor_id='id'
    )


def _fail_in_database(*args: Any, **kwargs: Any) -> None:
    raise db_exception.DBError


class ProcessTestCase(testtools.TestCase):
    """The programs read nova.conf by themselves, as an operator runs them."""

    def setUp(self) -> None:
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.urls = {}
        for name, models in (('api', api_models), ('main', main_models)):
            self.urls[name] = f'sqlite:///{self.folder}/{name}.sqlite'
            engine = sqlalchemy.create_engine(self.urls[name])
            models.BASE.metadata.create_all(engine)
            engine.dispose()
        # config_source would install the Nova plugin in a process of Nova.
        self.nova_conf = self.folder / 'nova.conf'
        self.nova_conf.write_text(
            f'[DEFAULT]\nconfig_source = pci_passthrough\n'
            f'[pci_passthrough]\ndriver = pci_passthrough\n'
            f'[api_database]\nconnection = {self.urls["api"]}\n'
            f'[database]\nconnection = {self.urls["main"]}\n'
            f'[pci]\nalias = {GpuTest.PCI_ALIAS[0]}\n'
        )
        self.config = self.folder / 'pci_passthrough.conf'
        self.config.write_text(
            f'[database]\nconnection = sqlite:///{self.folder}/pci.sqlite\n'
        )
        self.add_records()

    def add_records(self) -> None:
        """Add a cell and a Nova flavor to Nova, and a PCI flavor to ours."""
        engine = sqlalchemy.create_engine(self.urls['api'])
        with orm.Session(engine) as session, session.begin():
            session.add(
                api_models.CellMapping(
                    uuid=uuidutils.generate_uuid(),
                    name='cell1',
                    transport_url='fake://',
                    database_connection=self.urls['main'],
                )
            )
            flavor = api_models.Flavors(
                name='gpu.large',
                memory_mb=1,
                vcpus=1,
                root_gb=1,
                flavorid='1',
                swap=0,
            )
            session.add(flavor)
            session.flush()
            session.add(
                api_models.FlavorExtraSpecs(
                    flavor_id=flavor.id,
                    key='pci_passthrough:pci_flavor',
                    value='gpu:2',
                )
            )
        engine.dispose()
        self.assertEqual(0, self.run_program('manage', 'db', 'sync')[0])
        match = ','.join(f'{key}={value}' for key, value in _IDS.items())
        words = ('flavor', 'create', 'gpu', f'--match={match}')
        self.assertEqual(0, self.run_program('manage', *words)[0])

    def run_program(self, program: str, *words: str) -> tuple[int, str]:
        """Run ``pci-passthrough-<program>``; return its status and output."""
        code = (
            f'import sys; from pci_passthrough.cmd import {program}\n'
            f'sys.exit({program}.main())'
        )
        environment = {
            name: value
            for name, value in os.environ.items()
            # The tests have other values than a program.
            if not name.startswith('OS_')
        }
        environment['PYTHONPATH'] = str(
            pathlib.Path(pci_passthrough.__file__).parents[1]
        )
        done = subprocess.run(
            [sys.executable, '-c', code, f'--config-file={self.config}',
             *words],
            cwd=self.folder, env=environment, text=True, check=False,
            capture_output=True, timeout=600,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    def test_programs(self) -> None:
        nova = f'--nova-conf={self.nova_conf}'
        _, output = self.run_program('status', 'upgrade', 'check', nova)
        self.assertIn(
            'gpu.large ask for PCI flavors', ' '.join(output.split())
        )
        for words, code in (
            (('guard', '--apply'), 0),
            (('guard',), 0),
            (('leave',), 3),
            (('leave', '--apply'), 0),
            (('leave',), 0),
            (('return', '--apply'), 0),
        ):
            actual, output = self.run_program('manage', *words, nova)
            self.assertEqual((code, words), (actual, words), output)
