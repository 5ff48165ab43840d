# SPDX-License-Identifier: Apache-2.0
"""ConductorClient: the messages it sends, and the handling of bad answers."""

import json
import threading
from typing import Any

import fixtures
from kombu import exceptions as kombu_exc
import oslo_messaging
import testtools

from pci_passthrough import claims
from pci_passthrough import conf as conf_module
from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough import rpc
from pci_passthrough.tests.unit.rpc import driver

_PREFIX = 'pci_passthrough_object'
_INSTANCE = '5b0b5f2c-6a3e-4e5a-9d0e-0d6f3c1f7a10'


def ack(version: str, **fields: Any) -> dict[str, Any]:
    """An answer as a conductor of that version puts it on the wire."""
    data = {'generation': 7, 'sequence': 8, 'wanted': 'nothing', **fields}
    return {
        f'{_PREFIX}.name': 'ReportAck',
        f'{_PREFIX}.namespace': 'pci_passthrough',
        f'{_PREFIX}.version': version,
        f'{_PREFIX}.data': data,
    }


class ConductorClientTest(testtools.TestCase):
    def test_heartbeat_is_one_small_message(self) -> None:
        client, sent = driver.client(lambda message: ack('1.0'))
        answer = client.heartbeat('compute-1' * 20, 2**40, 'd' * 64)
        self.assertEqual(7, answer.generation)
        self.assertEqual(1, len(sent.sent))
        self.assertTrue(len(sent.sent[0]) < 1024, sent.sent[0])

    def test_bad_answers(self) -> None:
        for error, text in (
            (oslo_messaging.MessagingTimeout('x'), 'in time'),
            (oslo_messaging.RemoteError('TypeError', 'oh', []), 'TypeError'),
            (oslo_messaging.RemoteError('E', 'a\nTraceback', []), ': E: a'),
            (oslo_messaging.MessageDeliveryFailure('x'), 'broker is away'),
            # What a conductor's own KeyError is made into.
            (type('KeyError_Remote', (KeyError,), {})('k\nTraceback'), 'KeyE'),
            # What kombu says when not even a connection can be had.
            (kombu_exc.OperationalError('refused'), 'OperationalError'),
            (ConnectionResetError('reset'), 'ConnectionResetError'),
        ):

            def answer(message: Any, error: Exception = error) -> Any:
                raise error

            client, _ = driver.client(answer)
            raised = self.assertRaises(
                exception.ConductorUnavailable, client.heartbeat, 'h', 1, 'd'
            )
            self.assertIn(text, raised.text)
            self.assertNotIn('\n', raised.text)
            self.assertIs(error, raised.__cause__)

    def test_asked_again_while_a_conductor_hangs(self) -> None:
        self.useFixture(fixtures.FakeLogger())
        silent = iter([True, True, False])

        def answer(message: Any) -> Any:
            if next(silent):
                raise oslo_messaging.MessagingTimeout('x')
            return ack('1.0')

        client, sent = driver.client(answer, timeout=10)
        self.assertEqual(7, client.heartbeat('h', 1, 'd').generation)
        self.assertEqual(3, len(sent.sent))
        # A conductor that works on a call tells the caller to wait for it.
        self.assertEqual(
            [3, 3, None],
            [options['call_monitor_timeout'] for options in sent.options],
        )

    def test_asked_again_within_the_timeout_only(self) -> None:
        self.useFixture(fixtures.FakeLogger())

        def answer(message: Any) -> Any:
            raise oslo_messaging.MessagingTimeout('x')

        for timeout, tries in ((1, 1), (5, 1), (7, 3), (60, 3)):
            client, sent = driver.client(answer, timeout)
            self.assertRaises(
                exception.ConductorUnavailable, client.heartbeat, 'h', 1, 'd'
            )
            self.assertEqual(tries, len(sent.sent))
        # A second execution of these would find the first one's result.
        client, sent = driver.client(answer, 60)
        for call in (
            lambda: client.forget_host('h', False, 'r', 'a'),
            lambda: client.create_pci_flavor('n', None, {}, 'a'),
            lambda: client.set_device('d', 'disable', 'r', 'a'),
        ):
            sent.sent.clear()
            self.assertRaises(exception.ConductorUnavailable, call)
            self.assertEqual(1, len(sent.sent))

    def test_own_errors_stay_what_they_are(self) -> None:
        def answer(message: Any) -> Any:
            raise exception.ClaimContended('busy')

        client, _ = driver.client(answer)
        self.assertRaises(
            exception.ClaimContended, client.abort, 'h', 'i', 'a'
        )

    def test_answer_that_nobody_understands(self) -> None:
        for nonsense in (
            ack('2.0'),
            {**ack('1.0'), f'{_PREFIX}.name': 'Oops'},
        ):

            def answer(message: Any, nonsense: Any = nonsense) -> Any:
                return nonsense

            client, _ = driver.client(answer)
            self.assertRaises(
                exception.ConductorUnavailable, client.heartbeat, 'h', 1, 'd'
            )

    def test_newer_answer_is_sent_back_to_be_made_older(self) -> None:
        def answer(message: dict[str, Any]) -> Any:
            if message['method'] == 'object_backport_versions':
                self.assertEqual(
                    {'ReportAck': '1.0'}, message['args']['object_versions']
                )
                self.assertEqual(
                    newer, message['args']['objinst'], 'as it came'
                )
                return ack('1.0')
            return newer

        newer = ack('1.1', advice='rest')
        client, sent = driver.client(answer)
        answered = client.heartbeat('h', 1, 'd')
        self.assertIsInstance(answered, objects.ReportAck)
        self.assertEqual((7, '1.0'), (answered.generation, answered.VERSION))
        self.assertEqual(2, len(sent.sent))

    def test_sets_nothing_for_the_whole_process(self) -> None:
        driver.client(lambda message: None)
        self.assertIsNone(objects.ReportAck.indirection_api)

    def test_request_ids_are_sent_in_order(self) -> None:
        result = objects.ClaimResult(devices=[], refusal=None, reasons=[])
        client, sent = driver.client(lambda message: result.obj_to_primitive())
        client.free(None, 'instance', 'me', {'b', 'a'})
        message = json.loads(json.loads(sent.sent[0])['oslo.message'])
        self.assertEqual(['a', 'b'], message['args']['request_ids'])


class VersionTest(testtools.TestCase):
    """Calls that an older conductor does not know, or not in this form."""

    def test_each_call_says_what_it_needs(self) -> None:
        def answer(message: dict[str, Any]) -> Any:
            asked[message['method']] = message['version']
            return answers.get(message['method'], [])

        asked: dict[str, str] = {}
        answers: dict[str, Any] = {
            'free_by_numa_node': {'h': [[1, 2]]},
            'heartbeat': ack('1.0'),
            'free': objects.ClaimResult(
                devices=[], refusal=None, reasons=[]
            ).obj_to_primitive(),
            'register_tracker': objects.TrackerAck(
                generation=None, held=[]
            ).obj_to_primitive(),
            'offer': claims.SupplySnapshot((), {}, {})
            .to_wire()
            .obj_to_primitive(),
        }
        client, _ = driver.client(answer)
        client.heartbeat('h', 1, 'd')
        client.free(None, 'i', 'me')
        client.resolve([])
        client.offer([], ['h'])
        client.register_tracker('h', '1')
        client.host_devices('h')
        client.hosts_with_devices()
        self.assertEqual({'h': {1: 2}}, client.free_by_numa_node())
        client.adopt('h', 'i', 'r', ['0000:01:00.0'], 'me')
        client.note_refusals(_INSTANCE, 's', {}, '10g')
        client.close()
        self.assertEqual(
            {
                'heartbeat': '1.0',
                'free': '1.0',
                'resolve': '1.1',
                'offer': '1.1',
                'register_tracker': '1.1',
                'host_devices': '1.1',
                'hosts_with_devices': '1.1',
                'free_by_numa_node': '1.4',
                'adopt': '1.1',
                'note_refusals': '1.1',
            },
            asked,
        )

    def test_projects(self) -> None:
        """An older conductor is not told the project of the instance."""

        def answer(message: dict[str, Any]) -> Any:
            arguments = message['args']
            told = arguments.get('owner_project_id') or (
                message['method'] == 'adopt' and arguments.get('project_id')
            )
            asked.append((message['method'], message['version'], told))
            if is_older and message['version'] == '1.6':
                raise oslo_messaging.RemoteError('UnsupportedVersion')
            return answers[message['method']]

        answers = {
            'adopt': [],
            'claim': objects.ClaimResult(
                devices=[], refusal=None, reasons=[]
            ).obj_to_primitive(),
        }
        request = objects.PciRequest(
            request_id='r', count=1, pci_flavors=['10g'], numa_policy=None
        )
        claim = claims.ClaimRequest(
            'h', _INSTANCE, [request], 'me', owner_project_id='mine'
        )
        client, _ = driver.client(answer)
        told = [('claim', '1.6', 'mine'), ('adopt', '1.6', 'mine')]
        for is_older, expected in (
            (False, told),
            (
                True,
                [
                    told[0],
                    ('claim', '1.0', None),
                    told[1],
                    ('adopt', '1.1', None),
                ],
            ),
        ):
            asked: list[tuple[str, str, Any]] = []
            client.claim(claim)
            client.adopt('h', _INSTANCE, 'r', [], 'me', project_id='mine')
            self.assertEqual(
                expected, [(m, v, t or None) for m, v, t in asked]
            )

    def test_requests(self) -> None:
        """Requests without a NIC go to conductors that know no NICs, too."""

        def answer(message: dict[str, Any]) -> Any:
            versions = [
                request[f'{_PREFIX}.version']
                for request in message['args']['requests']
            ]
            asked.append((message['method'], message['version'], versions))
            return answers.get(message['method'], [])

        answers = {
            'claim': objects.ClaimResult(
                devices=[], refusal=None, reasons=[]
            ).obj_to_primitive(),
            'offer': claims.SupplySnapshot((), {}, {})
            .to_wire()
            .obj_to_primitive(),
        }
        unset = objects.PciRequest(
            request_id='r', count=1, pci_flavors=['10g'], numa_policy=None
        )
        nic = objects.RequestedNic(vnic_type='direct', physical_networks=[])
        plain, for_nic = unset.replace(nic=None), unset.replace(nic=nic)
        client, _ = driver.client(answer)
        for requests, older, versions in (
            ((unset, plain), True, ['1.0', '1.0']),
            ((for_nic,), False, ['1.1']),
            ((plain, for_nic), False, ['1.0', '1.1']),
        ):
            asked: list[tuple[str, str, list[str]]] = []
            client.resolve(requests)
            client.offer(requests, ['h'])
            client.claim(claims.ClaimRequest('h', _INSTANCE, requests, 'me'))
            self.assertEqual(
                [
                    ('resolve', '1.1' if older else '1.3', versions),
                    ('offer', '1.1' if older else '1.3', versions),
                    ('claim', '1.0' if older else '1.3', versions),
                ],
                asked,
            )

    def test_older_conductor_is_told(self) -> None:
        def answer(message: Any) -> Any:
            raise oslo_messaging.RemoteError('UnsupportedVersion', 'x', [])

        client, _ = driver.client(answer)
        error = self.assertRaises(
            exception.ConductorUnavailable, client.resolve, []
        )
        self.assertIn('conductors are upgraded first', error.text)

    def test_report_for_an_older_conductor(self) -> None:
        def answer(message: dict[str, Any]) -> Any:
            seen.append(message['args']['report'])
            [device] = seen[-1][f'{_PREFIX}.data']['offered']
            if device[f'{_PREFIX}.version'] != '1.0':
                raise oslo_messaging.RemoteError(
                    'IncompatibleObjectVersion', 'PciDevice 1.1', []
                )
            return ack('1.0')

        seen: list[Any] = []
        client, _ = driver.client(answer)
        device = objects.PciDevice(driver='ice', offered_by='{}')
        report = objects.HostReport(host='h', offered=[device])
        self.assertEqual(7, client.report(report).generation)
        first, second = (
            report[f'{_PREFIX}.data']['offered'][0][f'{_PREFIX}.data']
            for report in seen
        )
        self.assertEqual({'driver': 'ice', 'offered_by': '{}'}, first)
        self.assertEqual({'driver': 'ice'}, second)

    def test_report_with_another_fault_is_not_repeated(self) -> None:
        def answer(message: Any) -> Any:
            raise oslo_messaging.RemoteError('KeyError', 'x', [])

        client, sent = driver.client(answer)
        self.assertRaises(
            exception.ConductorUnavailable,
            client.report,
            objects.HostReport(host='h'),
        )
        self.assertEqual(1, len(sent.sent))


class NoteTest(testtools.TestCase):
    def test_nobody_waits(self) -> None:
        def answer(message: dict[str, Any]) -> Any:
            if not back.wait(30):
                raise AssertionError
            notes.append(message['args']['refusal'][f'{_PREFIX}.data'])

        back = threading.Event()
        notes: list[Any] = []
        client, _ = driver.client(answer)
        hosts = [f'h{number:03}' for number in range(30)]
        refused: dict[claims.FailedCondition, list[str]] = {
            claims.FailedCondition('b', 'numa', 'gpu'): ['x'],
            claims.FailedCondition('a', 'too_few'): hosts,
        }
        client.note_refusals(_INSTANCE, 's', refused, '10g', 'red', 3)
        self.assertEqual([], notes)
        back.set()
        client.close()
        [note] = notes
        self.assertEqual(
            [['a', 30, hosts[:20]], ['b', 1, ['x']]], note['reasons']
        )
        self.assertEqual(['too_few', 'numa'], note['conditions'])
        self.assertEqual(['', 'gpu'], note['pci_flavors'])
        self.assertEqual(('red', 3), (note['project_id'], note['passed']))

    def test_refusal_for_an_older_conductor(self) -> None:
        def answer(message: dict[str, Any]) -> Any:
            seen.append((message['version'], message['args']['refusal']))
            if seen[-1][1][f'{_PREFIX}.version'] != '1.0':
                raise oslo_messaging.RemoteError(
                    'IncompatibleObjectVersion', 'SchedulingRefusal 1.2', []
                )

        seen: list[tuple[str, Any]] = []
        client, _ = driver.client(answer)
        refused = {claims.FailedCondition('no free 10g', 'none_free'): ['x']}
        client.note_refusals(_INSTANCE, 's', refused, '10g')
        client.close()
        (first, newer), (second, older) = seen
        self.assertEqual(('1.1', '1.1'), (first, second))
        self.assertEqual('1.2', newer[f'{_PREFIX}.version'])
        data = dict(newer[f'{_PREFIX}.data'])
        for name in ('conditions', 'pci_flavors', 'project_id', 'passed'):
            del data[name]
        self.assertEqual(data, older[f'{_PREFIX}.data'])

    def test_what_cannot_be_sent_is_logged(self) -> None:
        def answer(message: Any) -> Any:
            raise ConnectionResetError('reset')

        log = self.useFixture(fixtures.FakeLogger())
        client, _ = driver.client(answer)
        client.note_refusals(_INSTANCE, 's', {}, '10g')
        client.close()
        self.assertIn('ConnectionResetError: reset', log.output)


class TransportTest(testtools.TestCase):
    def check(self, url: str) -> str:
        conf = conf_module.load([], 'test', config_files=[])
        rpc.get_transport(conf)
        conf.set_override('transport_url', url)
        error = self.assertRaises(
            exception.InvalidConfiguration, rpc.check_transport, conf
        )
        return error.text

    def test_wrong_urls(self) -> None:
        for url in (
            'rabit://pci:secret@controller:5672/',
            'no-scheme',
            'rabbit://pci:secret@controller:port/',
        ):
            text = self.check(url)
            self.assertIn('transport_url', text)
            self.assertIn('for example', text)
            self.assertNotIn('secret', text)
