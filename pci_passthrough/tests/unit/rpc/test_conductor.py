# SPDX-License-Identifier: Apache-2.0
"""The client: what it sends, and what becomes of bad answers."""

import json
from typing import Any

from kombu import exceptions as kombu_exc
import oslo_messaging
import testtools

from pci_passthrough import conf as conf_module
from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough import rpc
from pci_passthrough.tests.unit.rpc import driver

_PREFIX = 'pci_passthrough_object'


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
            found = self.assertRaises(
                exception.ConductorUnavailable, client.heartbeat, 'h', 1, 'd'
            )
            self.assertIn(text, found.text)
            self.assertNotIn('\n', found.text)
            self.assertIs(error, found.__cause__)

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
        found = client.heartbeat('h', 1, 'd')
        self.assertIsInstance(found, objects.ReportAck)
        self.assertEqual((7, '1.0'), (found.generation, found.VERSION))
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
