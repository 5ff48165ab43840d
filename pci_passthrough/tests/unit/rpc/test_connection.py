# SPDX-License-Identifier: Apache-2.0
"""The connection for answers: who waits for it, and for how long."""

from collections.abc import Callable
import contextlib
import threading
from typing import Any

from oslo_messaging._drivers import impl_rabbit
import testtools

from pci_passthrough import conf as conf_module
from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough import rpc
from pci_passthrough.tests.unit.rpc import driver

#: Seconds after which something that ends has ended.
_PATIENCE = 60


def _connecting() -> int:
    return [t.name for t in threading.enumerate()].count('pci-connect')


class DeadPortTest(testtools.TestCase):
    """A real driver, and nobody who listens."""

    def client(self, hosts: str) -> rpc.ConductorClient:
        conf = conf_module.load([], 'test', config_files=[])
        rpc.get_transport(conf)
        conf.set_override('transport_url', f'rabbit://{hosts}/cloud')
        return rpc.ConductorClient(rpc.get_transport(conf), 0.5)

    def test_driver_has_what_is_used_of_it(self) -> None:
        self.assertTrue(callable(impl_rabbit.RabbitDriver._get_reply_q))

    def test_each_call_is_bounded_and_threads_do_not_pile_up(self) -> None:
        before = _connecting()
        client = self.client('pci:s3cret@127.0.0.1:1,u:s3cret@[::1]:1')
        for _ in range(3):
            error = self.assertRaises(
                exception.ConductorUnavailable, client.heartbeat, 'h', 1, 'd'
            )
            # The driver tries them in any order.
            self.assertIn('127.0.0.1:1', error.text)
            self.assertIn(' or ', error.text)
            self.assertIn('(virtual host cloud)', error.text)
            self.assertNotIn('s3cret', error.text)
            self.assertEqual(before + 1, _connecting())
        client.close()


class _Driver(driver.Driver):
    """Has a connection to make, as RabbitMQ's driver has."""

    def __init__(self, connect: Callable[[], None]) -> None:
        conf = conf_module.load([], 'test', config_files=[])
        rpc.get_transport(conf)
        super().__init__(conf, lambda message: _RESULT.obj_to_primitive())
        self._get_reply_q = connect


_RESULT = objects.ClaimResult(devices=[], refusal=None, reasons=[])


class ReplyConnectionTest(testtools.TestCase):
    def client(
        self, connect: Callable[[], Any], timeout: float
    ) -> tuple[rpc.ConductorClient, _Driver]:
        fake = _Driver(connect)
        return rpc.ConductorClient(driver.transport(fake), timeout), fake

    def test_what_was_given_up_is_never_sent(self) -> None:
        back = threading.Event()
        client, fake = self.client(back.wait, 0.2)
        self.assertRaises(
            exception.ConductorUnavailable, client.free, 'h', 'i', 'gone'
        )
        back.set()
        while not fake.sent:
            # Given up, too, on a machine that is busy.
            with contextlib.suppress(exception.ConductorUnavailable):
                client.free('h', 'i', 'next')
        for sent in fake.sent:
            self.assertIn('next', sent)

    def test_callers_at_the_same_time_wait_for_one_attempt(self) -> None:
        attempts = []
        back = threading.Event()

        def connect() -> None:
            attempts.append(1)
            back.wait()

        client, fake = self.client(connect, _PATIENCE)
        callers = [
            threading.Thread(target=client.free, args=('h', 'i', 'me'))
            for _ in range(5)
        ]
        for caller in callers:
            caller.start()
        back.set()
        for caller in callers:
            caller.join(_PATIENCE)
        self.assertEqual(5, len(fake.sent))
        self.assertEqual([1], attempts)

    def test_attempt_that_fails_is_said_and_repeated(self) -> None:
        errors = [ConnectionError('ACCESS_REFUSED\nand more')]

        def connect() -> None:
            if errors:
                raise errors.pop()

        client, fake = self.client(connect, _PATIENCE)
        error = self.assertRaises(
            exception.ConductorUnavailable, client.free, 'h', 'i', 'me'
        )
        self.assertTrue(error.text.endswith('ACCESS_REFUSED'), error.text)
        client.free('h', 'i', 'me')
        self.assertEqual(1, len(fake.sent))

    def test_close_waits_neither_for_an_attempt_nor_for_a_hang(self) -> None:
        back = threading.Event()
        self.addCleanup(back.set)
        client, fake = self.client(back.wait, 0.1)
        fake.cleanup = back.wait  # type: ignore[method-assign, assignment]
        self.assertRaises(
            exception.ConductorUnavailable, client.free, 'h', 'i', 'me'
        )
        closing = threading.Thread(target=client.close, daemon=True)
        closing.start()
        closing.join(_PATIENCE)
        self.assertFalse(closing.is_alive())
