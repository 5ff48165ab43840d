# SPDX-License-Identifier: Apache-2.0
"""The metrics of a conductor with several processes."""

import collections
import contextlib
import socket
import urllib.error
import urllib.request
import uuid

from prometheus_client import parser
import psutil

from pci_passthrough import claims
from pci_passthrough import exception
from pci_passthrough.tests.functional import servers
from pci_passthrough.tests.functional.services import base
from pci_passthrough.tests.functional.services import programs
from pci_passthrough.tests.functional.store import base as store_base

_HOST = 'compute-1'

#: For a sample: its name and its labels, sorted.
_Key = tuple[str, tuple[tuple[str, str], ...]]


def key(name: str, **labels: str) -> _Key:
    """Return what a sample is known by."""
    return f'pci_passthrough_{name}', tuple(sorted(labels.items()))


def scrape(port: int) -> dict[_Key, float]:
    """Return the metrics of the conductor at a port."""
    url = f'http://{servers.LOOPBACK}:{port}/metrics'
    with urllib.request.urlopen(url, timeout=programs.PATIENCE) as answer:
        text = answer.read().decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in parser.text_string_to_metric_families(text)
        for sample in family.samples
    }


class _Database(servers.MariaDB):
    """One that no other test uses."""


class MetricsTest(base.ServicesTestCase):
    DATABASE = _Database

    def setUp(self) -> None:
        super().setUp()
        # Whatever becomes of the test, the next one finds it running.
        self.addCleanup(self.database_server.start)
        self.port = self.useFixture(servers.Port()).number

    def start(self) -> None:
        self.conductor = self.start_conductor(
            workers=2, metrics_port=self.port
        )
        self.conductor.wait_for_log('is ready', 2)

    def scrape(self) -> dict[_Key, float]:
        return scrape(self.port)

    def wait_for(self, **wanted: float) -> None:
        """Return when a scrape has the states of the only PCI flavor."""

        def is_there() -> bool:
            states: dict[str, float] = collections.defaultdict(float)
            for (name, labels), value in self.scrape().items():
                facts = dict(labels)
                if (
                    name == 'pci_passthrough_devices'
                    and facts['pci_flavor'] == 'gpu'
                ):
                    states[facts['state']] += value
            return all(states[name] == n for name, n in wanted.items())

        programs.wait_for(is_there, f'{wanted}', pause=0.3)

    def claim(self, count: int) -> None:
        self.client().claim(
            claims.ClaimRequest(
                _HOST, str(uuid.uuid4()), [base.request(count, 'gpu')], 'nova'
            )
        )

    def workers(self) -> set[int]:
        [_, *workers] = self.conductor._processes()
        return {worker.pid for worker in workers}

    def test_all_processes_count_and_none_forgets(self) -> None:
        self.start()
        client = self.client()
        report = store_base.full_report(
            _HOST, [store_base.gpu(bus) for bus in range(1, 41)]
        )
        client.report(report)
        for _ in range(10):
            self.claim(1)
        for _ in range(5):
            self.assertRaises(exception.ClaimRefused, self.claim, 64)
        self.assertRaises(
            exception.HostNotFound,
            client.claim,
            claims.ClaimRequest(
                'compute-2',
                str(uuid.uuid4()),
                [base.request(1, 'gpu')],
                'nova',
            ),
        )
        client.note_refusals(
            str(uuid.uuid4()),
            '',
            {claims.FailedCondition('no free gpu', 'none_free'): ['a', 'b']},
            'gpu:1',
        )
        client.register_tracker(_HOST, '1')
        counts: dict[_Key, float] = {
            key('reports_applied_total', kind='full'): 1,
            key('claim_duration_seconds_count', outcome='claimed'): 10,
            key('claim_duration_seconds_count', outcome='refused'): 5,
            key('claim_duration_seconds_count', outcome='failed'): 1,
            key('claim_refusals_total', condition='too_few'): 5,
            key('scheduling_refusals_total', condition='none_free'): 1,
        }
        programs.wait_for(
            lambda: counts.items() <= self.scrape().items(), 'all counts'
        )
        self.wait_for(free=30, held=10)
        samples = self.scrape()
        labels = {'host': _HOST}
        for name in ('host_up', 'host_tracker_up', 'database_up'):
            facts = {} if name == 'database_up' else labels
            self.assertEqual(1, samples[key(name, **facts)])

        self._check_reloads(counts)

    def _check_reloads(self, counts: dict[_Key, float]) -> None:
        """New processes go on with the counts, and the port moves."""
        other = self.useFixture(servers.Port()).number
        before = self.workers()
        text = self.conductor.config.read_text()
        self.conductor.config.write_text(
            text.replace(
                f'metrics_port = {self.port}', f'metrics_port = {other}'
            )
        )
        with socket.create_server((servers.LOOPBACK, other)):
            self.conductor.reload()
            self.conductor.wait_for_log('going on with the one before')
            self.conductor.wait_for_log('is ready', 4)
            self.assertEqual(set(), self.workers() & before)
            self.assertTrue(counts.items() <= self.scrape().items())
        psutil.Process(self.workers().pop()).kill()
        self.conductor.wait_for_log('is ready', 5)
        self.conductor.reload()
        self.conductor.wait_for_log('is ready', 7)
        self.assertRaises(urllib.error.URLError, self.scrape)
        self.port = other
        self.assertTrue(counts.items() <= self.scrape().items())
        self.claim(1)
        claimed = key('claim_duration_seconds_count', outcome='claimed')
        self.assertEqual(11, self.scrape()[claimed])
        self.wait_for(free=29, held=11)

    def test_database_is_away(self) -> None:
        self.start()
        self._check_only_metrics_are_served()
        self.database_server.kill()
        programs.wait_for(
            lambda: not self.scrape()[key('database_up')], 'it is away'
        )
        samples = self.scrape()
        self.assertIn(
            key('claim_duration_seconds_count', outcome='claimed'), samples
        )
        self.assertNotIn('pci_passthrough_host_up', {n for n, _ in samples})
        # Workers that start now wait for it.
        with self.conductor.config.open('a') as config:
            config.write('retry_interval = 1\n')
        self.conductor.reload()
        self.conductor.wait_for_log('SQL connection failed', 2)
        self.assertEqual(0, self.scrape()[key('database_up')])
        self.database_server.start()
        programs.wait_for(
            lambda: bool(self.scrape()[key('database_up')]), 'it is back'
        )
        self.assertNotIn('Traceback', self.conductor.log)

    def test_port_in_use(self) -> None:
        with socket.create_server((servers.LOOPBACK, self.port)):
            conductor = self.start_conductor(
                ready=False, metrics_port=self.port
            )
            self.assertEqual(1, conductor.exit_status())
        [line] = conductor.log.splitlines()
        self.assertIn(f'metrics_port {self.port}', line)
        self.assertIn('Address already in use', line)

    def _check_only_metrics_are_served(self) -> None:
        with contextlib.closing(
            socket.create_connection((servers.LOOPBACK, self.port))
        ):
            # A client that says nothing keeps nobody waiting.
            self.assertEqual(1, self.scrape()[key('database_up')])
        url = f'http://{servers.LOOPBACK}:{self.port}/'
        error = self.assertRaises(
            urllib.error.HTTPError,
            urllib.request.urlopen,
            url,
        )
        self.addCleanup(error.close)
        self.assertEqual(404, error.code)
        self._check_patience()

    def _check_patience(self) -> None:
        """A silent database is waited for as long as Prometheus waits."""
        request = urllib.request.Request(
            f'http://{servers.LOOPBACK}:{self.port}/metrics',
            headers={'X-Prometheus-Scrape-Timeout-Seconds': '0.5'},
        )
        processes = self.database_server.processes()
        for process in processes:
            process.suspend()
        try:
            with urllib.request.urlopen(request) as answer:  # noqa: S310
                text = answer.read().decode()
        finally:
            for process in processes:
                process.resume()
        self.assertIn('\npci_passthrough_database_up 0', text)
        self.conductor.wait_for_log('no answer after 0.4 seconds')
