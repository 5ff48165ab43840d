# SPDX-License-Identifier: Apache-2.0
from typing import Any

from openstack import exceptions
import testtools

from pci_passthrough.osc.v1 import resources
from pci_passthrough.sdk import pci_flavor
from pci_passthrough.sdk import pci_flavor_availability


def resource(**members: Any) -> dict[str, Any]:
    empty = dict.fromkeys(('type', 'description', 'information'))
    return {'resource_type': 'usb', 'availability': 'ok', **empty, **members}


class InWordsTest(testtools.TestCase):
    def test_lines(self) -> None:
        for members, line in (
            ({}, 'usb: ok'),
            (
                {'type': 'token', 'free': 1, 'total': 2},
                'usb token: ok, 1 of 2',
            ),
            ({'description': 'signs'}, 'usb, signs: ok'),
            (
                {'type': 'token', 'description': 'signs', 'information': 'w'},
                'usb token, signs (w): ok',
            ),
        ):
            with self.subTest(line=line):
                self.assertIn(line, resources.in_words(resource(**members)))


class _Service:
    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def get_pci_flavor_availability(self, flavor: Any) -> Any:
        if isinstance(self._answer, Exception):
            raise self._answer
        return pci_flavor_availability.Availability.existing(**self._answer)


class OfPciFlavorTest(testtools.TestCase):
    def supply(self, answer: Any) -> dict[str, Any]:
        service: Any = _Service(answer)
        flavor = pci_flavor.PciFlavor.existing(uuid='u')
        return resources.of_pci_flavor(service, flavor)

    def test_older_service(self) -> None:
        self.assertEqual(
            {'availability': 'ok'},
            self.supply({'availability': 'ok', 'name': 'a', 'count': 1}),
        )

    def test_not_allowed(self) -> None:
        self.assertEqual({}, self.supply(exceptions.ForbiddenException('no')))

    def test_other_errors_are_raised(self) -> None:
        error = exceptions.HttpException('no')
        self.assertRaises(exceptions.HttpException, self.supply, error)
