# SPDX-License-Identifier: Apache-2.0
"""Tests of carrying the PCI flavors of NICs through Nova."""

import json
from typing import Any

import testtools

from pci_passthrough.nova_plugin.network import asked_nics


class Context:
    """Stands in for Nova's request context."""

    def to_dict(self) -> dict[str, Any]:
        """Return the serialized form."""
        return {'user': 'me'}


def _from_dict(cls: Any, values: Any) -> Any:
    return cls()


class AskedNicsTest(testtools.TestCase):
    """The PCI flavors of NICs, in a thread and with a context."""

    def travelled(self, context: Context) -> Any:
        """Return a context as the receiver of a message gets it."""
        sent = asked_nics.wrap_to_dict(Context.to_dict)(context)
        self.assertEqual('me', sent['user'])
        arrived = json.loads(json.dumps(sent))
        return asked_nics.wrap_from_dict(_from_dict)(Context, arrived)

    def test_in_a_thread(self) -> None:
        context = Context()
        self.assertEqual({}, asked_nics.names_in(context))
        with asked_nics.in_thread(asked_nics.AskedNics({1: '10g'})):
            self.assertEqual({1: '10g'}, asked_nics.names_in(context))
            with asked_nics.in_thread(asked_nics.AskedNics({})):
                self.assertEqual({}, asked_nics.names_in(context))
            self.assertEqual({1: '10g'}, asked_nics.names_in(context))
        self.assertEqual({}, asked_nics.names_in(context))

    def test_only_what_is_sent_travels(self) -> None:
        context = Context()
        with asked_nics.in_thread(asked_nics.AskedNics({0: '10g'})):
            arrived = self.travelled(context)
        self.assertEqual({}, asked_nics.names_in(arrived))
        with asked_nics.in_thread(asked_nics.AskedNics({0: '10g'})):
            asked_nics.send_with(context)
        arrived = self.travelled(context)
        self.assertEqual({0: '10g'}, asked_nics.names_in(arrived))
        self.assertEqual(
            {0: '10g'}, asked_nics.names_in(self.travelled(arrived))
        )

    def test_nothing_is_sent_when_nothing_is_asked(self) -> None:
        context = Context()
        with asked_nics.in_thread(asked_nics.AskedNics({})):
            asked_nics.send_with(context)
        asked_nics.send_with(context)
        sent = asked_nics.wrap_to_dict(Context.to_dict)(context)
        self.assertEqual({'user': 'me'}, sent)

    def test_warning(self) -> None:
        asked = asked_nics.AskedNics({})
        asked.warn('take care')
        self.assertEqual(['299 pci-passthrough "take care"'], asked.warnings)
