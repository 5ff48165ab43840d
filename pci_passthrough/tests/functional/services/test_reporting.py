# SPDX-License-Identifier: Apache-2.0
"""Agents and conductors that are well, and those of other releases."""

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough import store
from pci_passthrough.store import schema
from pci_passthrough.tests.functional.services import base
from pci_passthrough.tests.functional.services import programs


class ReportingTest(base.ServicesTestCase):
    def test_hosts_appear_and_then_only_give_signs_of_life(self) -> None:
        hosts = [
            self.write_host(name, nics=1, gpus=1)
            for name in ('compute-1', 'compute-2')
        ]
        conductor = self.start_conductor()
        agents = [self.start_agent(host) for host in hosts]
        for host in hosts:
            self.wait_for_report(host.name)
        self.check_consistent(*hosts)
        for host in hosts:
            self.wait_for_sign_of_life(host.name)
            self.wait_for_sign_of_life(host.name)
            self.assertEqual(1, self.generation(host.name))
        for program in (*agents, conductor):
            program.terminate()
            self.assertNotIn('Traceback', program.log)

    def test_reload_reads_pci_information_anew(self) -> None:
        host = self.write_host('compute-1', nics=1, gpus=2)
        self.start_conductor()
        gpus = (base.entry({'class': 'display'}, group='all'),)
        agent = self.start_agent(host, gpus)
        self.wait_for_report(host.name)
        some = len(self.devices(host.name))
        self._reload(agent, gpus[0], base.PCI_INFORMATION[0])
        self.wait_for_report(host.name, 2)
        self.assertTrue(len(self.devices(host.name)) > some)
        self._reload(agent, 'max_backoff = 2', 'max_backoff = never')
        agent.wait_for_log('cannot be used')
        agent.wait_for_log('Agent of compute-1', 3)
        self._reload(agent, 'max_backoff = never', 'max_backoff = 2')
        agent.wait_for_log('Agent of compute-1', 4)

    def test_reload_refuses_malformed_pci_information(self) -> None:
        host = self.write_host('compute-1', nics=1, gpus=2)
        self.start_conductor()
        gpus = (base.entry({'class': 'display'}, group='all'),)
        agent = self.start_agent(host, base.PCI_INFORMATION)
        self.wait_for_report(host.name)
        everything = len(self.devices(host.name))
        self._reload(agent, base.PCI_INFORMATION[0], gpus[0])
        self.wait_for_report(host.name, 2)
        some = len(self.devices(host.name))
        self.assertTrue(some < everything)
        self._reload(agent, gpus[0], '{"match": {"colour": "red"}}')
        agent.wait_for_log('Agent of compute-1', 3)
        agent.wait_for_log('Sent a report of ', 3)
        # What was good last goes on, and not what was good at the start.
        self.wait_for_sign_of_life(host.name)
        self.assertEqual(some, len(self.devices(host.name)))
        self.assertIn('colour', agent.log)
        self.assertIn('going on with the one before', agent.log)
        self.assertNotIn('Traceback', agent.log)

    def test_reload_of_a_conductor_with_an_empty_database(self) -> None:
        conductor = self.start_conductor(workers=1)
        url = self.database_server.create_database()
        self._reload(conductor, self.database_url, url)
        conductor.wait_for_log('until it can: the database is empty')
        database = store.Writer(url)
        self.addCleanup(database.close)
        schema.sync(database)
        conductor.wait_for_log('is ready', 2)
        self._reload(conductor, url, 'nonsense')
        conductor.wait_for_log('is ready', 3)
        self.assertIn('connection cannot be used: it is no', conductor.log)
        self.assertNotIn('Traceback', conductor.log)

    def _reload(self, program: programs.Program, old: str, new: str) -> None:
        text = program.config.read_text()
        program.config.write_text(text.replace(old, new))
        program.reload()

    def test_change_sends_what_changed(self) -> None:
        host = self.simulate_host('compute-1', nics=2, vfs=4)
        conductor = self.start_conductor()
        self.start_agent(host)
        self.wait_for_report('compute-1')
        gpu = next(
            address
            for address, device in self.devices('compute-1').items()
            if str(device.pci_class).startswith('03')
        )
        host.unplug(gpu)
        self.wait_for_report('compute-1', 2)
        host.plug(gpu)
        self.wait_for_report('compute-1', 3)
        # It says so when the database has it already.
        for words in (
            '0 devices offered, 0 not offered, 1 gone; generation 2',
            '1 devices offered, 0 not offered, 0 gone; generation 3',
        ):
            conductor.wait_for_log(words)
        self.check_consistent(host)

    def test_conductor_of_the_next_release(self) -> None:
        host = self.write_host('compute-1', nics=1)
        conductor = self.start_odd_conductor('newer')
        agent = self.start_agent(host)
        self.wait_for_report(host.name)
        for _ in range(2):
            self.wait_for_sign_of_life(host.name)
        self.assertIn('Made an answer older', conductor.log)
        self.assertNotIn('not delivered', agent.log)
        self.assertEqual(1, self.generation(host.name))
        self.check_consistent(host)

    def test_conductor_of_the_release_before(self) -> None:
        host = self.write_host('compute-1', nics=1)
        conductor = self.start_odd_conductor('older')
        agent = self.start_agent(host)
        self.wait_for_report(host.name)
        self.wait_for_sign_of_life(host.name)
        self.assertIn(
            f'Refused a device of version {objects.PciDevice.VERSION}',
            conductor.log,
        )
        self.assertNotIn('not delivered', agent.log)
        # It has no handlers.
        self.assertNotIn('Not preparing devices', agent.log)
        self.assertEqual(
            {None}, {d.offered_by for d in self.devices(host.name).values()}
        )
        error = self.assertRaises(
            exception.ConductorUnavailable,
            self.client().register_tracker,
            host.name,
            '1',
        )
        self.assertIn('conductors are upgraded first', error.text)

    def test_defect_of_a_conductor_does_not_end_the_agent(self) -> None:
        host = self.write_host('compute-1', nics=1)
        conductor = self.start_odd_conductor('buggy')
        agent = self.start_agent(host, rpc_timeout=5)
        agent.wait_for_log('KeyError')
        before = agent.pids()
        agent.wait_for_log('KeyError', 2)
        conductor.kill()
        self.start_conductor()
        self.wait_for_report(host.name)
        agent.wait_for_log('delivered again')
        self.assertEqual(before, agent.pids())
        self.check_consistent(host)


class StartTest(base.ServicesTestCase):
    """A program that cannot start says why and ends."""

    def check_refused(self, program: programs.Program, *words: str) -> None:
        self.assertNotEqual(0, program.exit_status(), program.log)
        for word in words:
            self.assertIn(word, program.log)
        self.assertNotIn('secret', program.log)

    def test_wrong_transport_url(self) -> None:
        host = self.write_host('compute-1')
        for program in (
            self.start_agent(host),
            self.start_conductor(ready=False),
        ):
            program.kill()
            text = program.config.read_text()
            url = 'rabit://pci:secret@controller/'
            program.config.write_text(text.replace(self.broker.url, url))
            program.start()
            self.check_refused(program, 'transport_url', 'rabit')

    def test_conductor_without_schema(self) -> None:
        self.database_url = self.database_server.create_database()
        self.check_refused(
            self.start_conductor(ready=False), 'pci-passthrough-manage db sync'
        )

    def test_wrong_password_of_the_broker_is_said_and_cured(self) -> None:
        # The broker's user may be made after the agent.
        host = self.write_host('compute-1', nics=1)
        self.start_conductor()
        agent = self.start_agent(host, rpc_timeout=5)
        agent.kill()
        text = agent.config.read_text()
        agent.config.write_text(text.replace(self.broker.password, 'secret'))
        agent.start()
        agent.wait_for_log('ACCESS_REFUSED')
        before = agent.pids()
        agent.wait_for_log('ACCESS_REFUSED', 2)
        self.assertEqual(before, agent.pids())
        self.assertNotIn('Traceback', agent.log)
