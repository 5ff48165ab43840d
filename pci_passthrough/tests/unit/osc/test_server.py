# SPDX-License-Identifier: Apache-2.0
"""A release of python-openstackclient that handles NICs differently.

What a user asked for must not be lost without a word.
"""

import argparse
from collections.abc import Callable
import types
from typing import Any

import fixtures
from osc_lib import exceptions
import requests
import testtools

from pci_passthrough.osc.v1 import server

_STOCK = 'openstackclient.compute.v2.server.CreateServer'
_REFUSAL = 'this release of python-openstackclient'


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        raise ValueError(message)


class _Compute:
    """The SDK's proxy.

    :ivar posted: what it was called with.
    """

    def __init__(self) -> None:
        self.posted: list[Any] = []

    def post(self, url: str, **keywords: Any) -> requests.Response:
        self.posted.append(keywords)
        return requests.Response()


def _app(compute: _Compute | None = None) -> Any:
    """Return a shell with the attributes that the command uses."""
    connection = types.SimpleNamespace(compute=compute)
    manager = types.SimpleNamespace(sdk_connection=connection)
    return types.SimpleNamespace(client_manager=manager)


class ParserTestCase(testtools.TestCase):
    def parse(self, parser: _Parser) -> argparse.Namespace:
        """Request a PCI flavor while OSC has another parser."""
        self.useFixture(
            fixtures.MonkeyPatch(
                f'{_STOCK}.get_parser', lambda command, name: parser
            )
        )
        extended = server.CreateServer(_app(), None).get_parser('')
        return extended.parse_args(['--nic', 'net-id=n,pci-flavor=10g'])

    def test_no_option(self) -> None:
        error = self.assertRaises(ValueError, self.parse, _Parser())
        self.assertIn('unrecognized arguments', str(error))

    def test_nics_are_kept_elsewhere(self) -> None:
        """OSC's own action gets the key, and refuses it as unknown."""
        parser = _Parser()
        parser.add_argument('--nic', dest='others')
        self.assertEqual('net-id=n,pci-flavor=10g', self.parse(parser).others)

    def test_nics_are_no_dictionaries(self) -> None:
        parser = _Parser()
        parser.add_argument('--nic', dest='nics', action='append')
        error = self.assertRaises(ValueError, self.parse, parser)
        self.assertIn(_REFUSAL, str(error))


class CreateTestCase(testtools.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.compute = _Compute()

    def create(self, act: Callable[[_Compute], Any]) -> None:
        """Create a server with two NICs while OSC posts another body."""
        self.useFixture(
            fixtures.MonkeyPatch(
                f'{_STOCK}.take_action',
                lambda command, args: act(self.compute),
            )
        )
        nics = [{'net-id': 'a'}, {'net-id': 'b', 'pci-flavor': '10g'}]
        server.CreateServer(_app(self.compute), None).take_action(
            argparse.Namespace(nics=nics)
        )

    def create_with(self, **keywords: Any) -> None:
        self.create(lambda compute: compute.post('/servers', **keywords))

    def refusal(self, *words: Any, **keywords: Any) -> str:
        return str(
            self.assertRaises(exceptions.CommandError, *words, **keywords)
        )

    def test_as_expected(self) -> None:
        networks = [{'uuid': 'a'}, {'uuid': 'b'}]
        self.create_with(json={'server': {'networks': networks}})
        self.assertEqual({'uuid': 'a'}, networks[0])
        self.assertEqual({'uuid': 'b', 'pci_flavor': '10g'}, networks[1])
        self.assertNotIn('post', vars(self.compute))

    def test_other_bodies(self) -> None:
        bodies: tuple[Any, ...] = (
            {'server': {'networks': [{'uuid': 'a'}]}},
            {'server': {'networks': 'ab'}},
            {'server': {}},
            {'servers': []},
            None,
        )
        for body in bodies:
            text = self.refusal(self.create_with, json=body)
            self.assertIn(_REFUSAL, text)
            self.assertNotIn('may have been', text)
        self.refusal(self.create_with, data=b'{}')
        self.assertEqual([], self.compute.posted)
        self.assertNotIn('post', vars(self.compute))

    def test_another_way(self) -> None:
        text = self.refusal(self.create, lambda compute: None)
        self.assertIn('without the PCI flavor', text)

    def test_error_on_the_way(self) -> None:
        """The error is the one that OSC raised."""

        def fail(compute: _Compute) -> None:
            raise LookupError('no such image')

        self.assertRaises(LookupError, self.create, fail)
        self.assertNotIn('post', vars(self.compute))
