# SPDX-License-Identifier: Apache-2.0
"""The agent's threads, in this process and without servers."""

import json
import pathlib
import threading
import time
from typing import Any

import fixtures
import testtools

from pci_passthrough import claims
from pci_passthrough import conf as conf_module
from pci_passthrough import exception
from pci_passthrough import host_verdict
from pci_passthrough import reporting
from pci_passthrough import store
from pci_passthrough.demo import inventory
from pci_passthrough.demo import testdriver
from pci_passthrough.discovery import in_use
from pci_passthrough.discovery import scan
from pci_passthrough.services import agent
from pci_passthrough.services import conductor
from pci_passthrough.store import hosts
from pci_passthrough.store import schema
from pci_passthrough.store.claims import claiming
from pci_passthrough.store.devices import lookup
from pci_passthrough.store.pci_flavors import editing
from pci_passthrough.tests import sqlite
from pci_passthrough.tests.functional.cmd import running
from pci_passthrough.tests.functional.services import programs
from pci_passthrough.tests.functional.store import base as store_base


class _Hanging(agent.AgentService):
    """Looks once, and then for ever."""

    looks = 0

    def _scan(self) -> reporting.Snapshot:
        self.looks += 1
        if self.looks > 1:
            self._stopping.wait()
            time.sleep(3600)
        return super()._scan()


class _Defective(agent.AgentService):
    """Has a defect that its second look brings to light."""

    looks = 0

    def _scan(self) -> reporting.Snapshot:
        self.looks += 1
        if self.looks > 1:
            raise ZeroDivisionError('a defect')
        return super()._scan()


class _Blinking(agent.AgentService):
    """Its second look, and only this one, cannot tell about any device."""

    looks = 0

    def _scan_once(self) -> scan.Scan:
        self.looks += 1
        result = super()._scan_once()
        if self.looks != 2:
            return result
        return scan.Scan(
            [],
            [
                scan.Refused(
                    item.device, item.entry, f'{in_use.USE_UNKNOWN}EIO'
                )
                for item in result.offered
            ],
            result.others,
            result.use_unknown,
        )


class AgentServiceTest(testtools.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.logger = self.useFixture(fixtures.FakeLogger(level=20))
        folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.folder = folder
        self.db = store.Writer(sqlite.create(folder / 'db'))
        self.addCleanup(self.db.close)
        self.host = testdriver.write_host(
            inventory.build_host(inventory.HostShape('compute-1')), folder
        )

    def conf(self, **agent_options: Any) -> Any:
        options = {
            'connection_uri': self.host.uri,
            'host_root': self.host.host_root,
            'verdict_dir': self.folder / 'verdicts',
            'pci_information': '{"match": {"vendor_id": "*"}}',
            'report_interval': 1,
            'scan_interval': 1,
            'default_handlers': False,
            **agent_options,
        }
        config = self.folder / 'agent.conf'
        lines = [f'{name} = {value}' for name, value in options.items()]
        config.write_text(
            '\n'.join(
                [
                    '[DEFAULT]',
                    'transport_url = fake:/',
                    'host = compute-1',
                    '[database]',
                    f'connection = sqlite:///{self.folder}/db',
                    '[agent]',
                    *lines,
                ]
            )
        )
        return conf_module.load([f'--config-file={config}'], 'test')

    def start_conductor(self) -> conductor.ConductorService:
        service = conductor.ConductorService(self.conf())
        service.start()
        self.addCleanup(service.stop)
        return service

    def start(self, service: agent.AgentService) -> None:
        service.start()
        self.addCleanup(service.stop)
        programs.wait_for(self.last_report, 'the report')

    def last_report(self) -> Any:
        known = hosts.get_all(self.db, store.Limits(60, 180))
        return known[0].last_report_at if known else None

    def test_reports_and_stops_at_once(self) -> None:
        self.start_conductor()
        service = agent.AgentService(self.conf(scan_interval=600))
        self.start(service)
        first = self.last_report()
        programs.wait_for(lambda: self.last_report() > first, 'a heartbeat')
        threads = list(service._threads)
        service.stop()
        service.wait()
        # Neither waits for the next look, in ten minutes.
        for thread in threads:
            thread.join(programs.PATIENCE)
            self.assertFalse(thread.is_alive())
        [host] = hosts.get_all(self.db, store.Limits(60, 180))
        self.assertEqual(1, host.generation)

    def verdict(self) -> host_verdict.Verdict:
        """Return what nova-compute reads."""
        folder = self.folder / 'verdicts'
        return host_verdict.Reader(folder, 'compute-1', 60).read()

    def age(self) -> float:
        path = host_verdict.path_of(self.folder / 'verdicts', 'compute-1')
        return float(json.loads(path.read_text())['uptime'])

    def test_verdict_is_there_before_the_report(self) -> None:
        self.start_conductor()
        service = agent.AgentService(self.conf(scan_interval=600))
        self.start(service)
        verdict = self.verdict()
        self.assertEqual(
            {
                str(d.address): f'{d.vendor_id}:{d.product_id}'
                for d in lookup.get_all(self.db)
                if d.presence == 'offered'
            },
            verdict.offered,
        )
        self.assertNotEqual({}, verdict.offered)
        self.assertIn('boot VGA device', verdict.refused['0000:05:00.0'])
        before = self.age()
        programs.wait_for(lambda: self.age() > before, 'a renewal')

    def test_verdict_without_a_conductor(self) -> None:
        """Guests start with their host, also while no conductor answers."""
        conf = self.conf(rpc_timeout=1, report_interval=600)
        service = agent.AgentService(conf)
        service.start()
        self.addCleanup(service.stop)
        path = host_verdict.path_of(self.folder / 'verdicts', 'compute-1')
        programs.wait_for(path.exists, 'a verdict')
        self.assertNotEqual({}, self.verdict().offered)
        service.stop()
        # A later agent cannot know what guests hide: it changes nothing.
        before = path.read_text()
        later = agent.AgentService(
            self.conf(
                rpc_timeout=1, pci_information='{"class": "coprocessor"}'
            )
        )
        later.start()
        self.addCleanup(later.stop)
        programs.wait_for(lambda: later._verdicts is not None, 'a look')
        self.assertEqual(before, path.read_text())

    def test_verdict_cannot_be_written(self) -> None:
        (self.folder / 'verdicts').write_text('a file')
        error = self.assertRaises(
            exception.InvalidConfiguration, agent.AgentService, self.conf()
        )
        self.assertIn('[agent] verdict_dir', error.text)

    def test_reset_looks_at_once(self) -> None:
        self.start_conductor()
        service = agent.AgentService(self.conf(scan_interval=600))
        self.start(service)
        before = service._snapshot
        service.reset()
        programs.wait_for(lambda: service._snapshot is not before, 'a look')

    def test_one_look_that_cannot_tell_withdraws_nothing(self) -> None:
        """Two more looks follow at once: one to agree, one because of that."""
        self.start_conductor()
        service = _Blinking(self.conf(scan_interval=600))
        self.start(service)
        before = service._snapshot
        service.reset()
        programs.wait_for(lambda: service.looks >= 4, 'two more looks')
        programs.wait_for(
            lambda: service._snapshot is not before, 'the result of a look'
        )
        assert service._verdicts is not None
        self.assertNotEqual([], service._verdicts.offered)
        assert before is not None and service._snapshot is not None
        self.assertEqual(before.digest, service._snapshot.digest)
        [host] = hosts.get_all(self.db, store.Limits(60, 180))
        self.assertEqual(1, host.generation)

    def test_idle_entry_is_logged(self) -> None:
        self.start_conductor()
        entry = '{"class": "coprocessor"}'
        agent.AgentService(self.conf(pci_information=entry)).report_once()
        self.assertIn(
            'In pci_information, entry 0 applies to no device: nearest is ',
            self.logger.output,
        )
        self.assertIn(entry, self.logger.output)

    def test_report_once(self) -> None:
        self.start_conductor()
        agent.AgentService(self.conf()).report_once()
        self.assertIsNotNone(self.last_report())

    def test_restart_while_a_guest_has_a_device(self) -> None:
        """The host does not show the driver by which an entry matches."""
        self.start_conductor()
        conf = self.conf(pci_information='{"driver": "nvme"}')
        agent.AgentService(conf).report_once()
        first, *others = lookup.get_all(self.db)
        self.assertNotEqual([], others)
        editing.create(self.db, 'nvme', None, match=[{'driver': 'nvme'}])
        [held] = claiming.claim(
            self.db,
            store_base.POLICY,
            claims.ClaimRequest(
                'compute-1',
                store_base.new_id(),
                [store_base.request('nvme')],
                'test',
            ),
        )
        driver = next(
            pathlib.Path(self.host.host_root).glob(
                f'sys/devices/**/{held.address}/driver'
            )
        )
        driver.unlink()
        driver.symlink_to('/sys/bus/pci/drivers/vfio-pci')
        agent.AgentService(conf).report_once()
        device = lookup.get(self.db, str(held.uuid))
        self.assertEqual(
            ('claimed', 'offered', 'nvme'),
            (device.status, device.presence, device.driver),
        )
        self.assertEqual(first.driver, device.driver)

    def test_report_once_without_a_broker(self) -> None:
        self.conf(rpc_timeout=3)
        text = (self.folder / 'agent.conf').read_text()
        url = 'rabbit://pci:s3cret@127.0.0.1:1/'
        (self.folder / 'agent.conf').write_text(text.replace('fake:/', url))
        outcome = running.run_program(
            'pci-passthrough-agent',
            '--once',
            f'--config-file={self.folder}/agent.conf',
        )
        self.assertEqual(1, outcome.status)
        self.assertIn(
            'pci-passthrough-agent: no connection to the broker 127.0.0.1:1 '
            'within 3 seconds',
            outcome.err,
        )
        self.assertNotIn('s3cret', outcome.err + outcome.out)
        self.assertNotIn('Traceback', outcome.err + outcome.out)

    def test_hanging_look_stops_neither_reports_nor_the_end(self) -> None:
        self.start_conductor()
        service = _Hanging(self.conf())
        self.start(service)
        programs.wait_for(lambda: service.looks > 1, 'another look')
        before = self.last_report()
        programs.wait_for(
            lambda: 'has not answered for' in self.logger.output,
            'a complaint',
        )
        programs.wait_for(lambda: self.last_report() > before, 'a report')
        service.stop()
        service.wait()
        self.assertIn('still waiting for libvirt', self.logger.output)

    def test_defect_ends_the_service_loudly(self) -> None:
        self.start_conductor()
        service = _Defective(self.conf())
        self.start(service)
        self.assertRaises(ZeroDivisionError, service.wait)
        self.assertIn('The agent ends after an error', self.logger.output)

    def test_no_conductor(self) -> None:
        # Long enough for the conductor that answers in the end, even on a busy
        # machine.
        service = agent.AgentService(self.conf(rpc_timeout=10, max_backoff=1))
        service.start()
        self.addCleanup(service.stop)
        programs.wait_for(
            lambda: 'not delivered' in self.logger.output, 'an attempt'
        )
        self.start_conductor()
        programs.wait_for(self.last_report, 'the report')
        programs.wait_for(
            lambda: 'delivered again' in self.logger.output, 'good news'
        )

    def test_no_libvirt_reports_nothing(self) -> None:
        self.start_conductor()
        path = pathlib.Path(self.host.uri.removeprefix('test://'))
        away = path.rename(path.with_suffix('.away'))
        service = agent.AgentService(self.conf(max_backoff=1))
        service.start()
        self.addCleanup(service.stop)
        programs.wait_for(
            lambda: self.logger.output.count('Keeping the last result') > 1,
            'attempts',
        )
        self.assertIsNone(self.last_report())
        away.rename(path)
        programs.wait_for(self.last_report, 'the report')

    def test_without_pci_information(self) -> None:
        self.start_conductor()
        conf = self.conf()
        conf.set_override('pci_information', [], group='agent')
        self.start(agent.AgentService(conf))
        self.assertIn('offers no device', self.logger.output)
        self.assertEqual(
            [0],
            [h.devices for h in hosts.get_all(self.db, store.Limits(60, 180))],
        )

    def test_wrong_configuration_is_refused_before_the_start(self) -> None:
        for options in (
            {'pci_information': '{"match": '},
            {'connection_uri': 'qemu+ssh://other/system', 'host_root': ''},
        ):
            self.assertRaises(
                exception.Invalid, agent.AgentService, self.conf(**options)
            )

    def test_unusable_configuration_changes_nothing(self) -> None:
        self.start_conductor()
        service = agent.AgentService(self.conf())
        for options in (
            {'pci_information': '{"match": '},
            {'connection_uri': 'qemu+ssh://other/system', 'host_root': ''},
        ):
            self.assertRaises(
                exception.Invalid, service.reconfigure, self.conf(**options)
            )
        self.start(service)
        self.assertTrue(
            hosts.get_all(self.db, store.Limits(60, 180))[0].devices
        )

    def count_looks(self) -> list[store.Reader]:
        """Return a list that grows when a conductor looks for the schema."""
        looks: list[store.Reader] = []

        def check(db: store.Reader) -> None:
            looks.append(db)
            schema_check(db)

        schema_check = schema.check
        self.useFixture(
            fixtures.MonkeyPatch(f'{schema.__name__}.check', check)
        )
        return looks

    def test_conductor_waits_for_a_schema(self) -> None:
        empty = f'sqlite:///{self.folder}/empty'
        conf = self.conf()
        conf.set_override('connection', empty, group='database')
        service = conductor.ConductorService(conf)
        looks = self.count_looks()
        starting = threading.Thread(target=service.start, daemon=True)
        starting.start()
        self.addCleanup(service.stop)
        # A look is finished, with its line in the log, when the next begins.
        programs.wait_for(lambda: len(looks) > 2, 'looks')
        self.assertTrue(starting.is_alive())
        self.assertEqual(1, self.logger.output.count('until it can'))
        self.assertIn('pci-passthrough-manage db sync', self.logger.output)
        database = store.Writer(empty)
        self.addCleanup(database.close)
        schema.sync(database)
        starting.join(programs.PATIENCE)
        self.assertFalse(starting.is_alive())
        self.assertIn('is ready', self.logger.output)

    def test_conductor_stops_while_it_waits_for_a_schema(self) -> None:
        conf = self.conf()
        conf.set_override(
            'connection', f'sqlite:///{self.folder}/empty', group='database'
        )
        service = conductor.ConductorService(conf)
        starting = threading.Thread(target=service.start, daemon=True)
        starting.start()
        programs.wait_for(
            lambda: 'until it can' in self.logger.output, 'a complaint'
        )
        service.stop()
        starting.join(programs.PATIENCE)
        self.assertFalse(starting.is_alive())
        self.assertNotIn('is ready', self.logger.output)

    def test_conductor_refuses_what_is_no_database(self) -> None:
        service = conductor.ConductorService(self.conf())
        for url, text in (
            ('mysql+nodriver://pci:s3cret@controller/pci', 'nodriver'),
            ('pci:s3cret', 'not a URL'),
            ('mysql+pymysql://pci:s3cret@controller:port/pci', 'not a URL'),
        ):
            conf = self.conf()
            conf.set_override('connection', url, group='database')
            error = self.assertRaises(
                exception.InvalidConfiguration, service.reconfigure, conf
            )
            self.assertIn(text, error.text)
            self.assertNotIn('s3cret', error.text)

    def test_conductor_waits_for_its_end(self) -> None:
        service = self.start_conductor()
        waiting = threading.Thread(target=service.wait, daemon=True)
        waiting.start()
        waiting.join(0.2)
        self.assertTrue(waiting.is_alive())
        service.stop()
        waiting.join(programs.PATIENCE)
        self.assertFalse(waiting.is_alive())
        # Again, as a program that was never started may be.
        service.stop()
        conductor.ConductorService(self.conf()).stop()
