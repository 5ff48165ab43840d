# SPDX-License-Identifier: Apache-2.0
"""Tests of what an instance needs, with requests as Nova's objects are."""

import dataclasses
from typing import Any

import testtools

from pci_passthrough.nova_plugin import needs

_ASKS = {'extra_specs': {'pci_passthrough:pci_flavor': 'gpu:1'}}
_PLAIN: dict[str, Any] = {'extra_specs': {}}


@dataclasses.dataclass(frozen=True)
class Request:
    """As Nova's ``InstancePCIRequest``."""

    spec: list[dict[str, str]]
    request_id: str = 'r'
    count: int = 1
    numa_policy: str | None = None
    requester_id: str | None = None
    alias_name: str | None = 'gpu'


def gpu(request_id: str = 'r', **fields: Any) -> Any:
    return Request([{'pci_flavor': 'uuid'}], request_id, **fields)


def nic(port: str | None) -> Any:
    spec = {
        'pci_flavor': 'uuid',
        'pci_flavor_vnic_type': 'direct',
        'pci_flavor_physical_networks': '[]',
    }
    return Request([spec], f'for {port}', requester_id=port)


NATIVE = Request([{'vendor_id': '8086'}])
MADE = gpu('made')


def make(_flavor: Any) -> list[Any]:
    return [MADE]


class NeedsTest(testtools.TestCase):
    def test_of_flavor(self) -> None:
        held = [NATIVE, gpu('held'), nic('p')]
        for flavor, kept, maker, expected in (
            (_ASKS, held, make, [gpu('held')]),
            (_ASKS, held, None, [gpu('held')]),
            (_ASKS, [NATIVE, nic('p')], make, [MADE]),
            (_ASKS, None, make, [MADE]),
            # The guest is running without.
            (_ASKS, [], None, []),
            (_PLAIN, [NATIVE, nic('p')], make, []),
            (_PLAIN, None, make, []),
            # After a resize that has failed.
            (_ASKS, [gpu('held', count=2)], make, [MADE]),
            (_ASKS, [gpu('held', alias_name='other')], make, [MADE]),
            (_ASKS, [gpu('held'), gpu('more')], make, [MADE]),
            (_PLAIN, [gpu('held')], make, []),
            (_ASKS, [gpu('held', count=2)], None, [gpu('held', count=2)]),
        ):
            self.assertEqual(expected, needs.of_flavor(flavor, kept, maker))

    def test_of_nics(self) -> None:
        held = [NATIVE, gpu(), nic('p'), nic('q'), nic(None)]
        for ports, expected in (
            (None, [nic('p'), nic('q'), nic(None)]),
            ({'p'}, [nic('p'), nic(None)]),
            (set(), [nic(None)]),
        ):
            self.assertEqual(expected, needs.of_nics(held, ports))

    def test_ask_alike(self) -> None:
        for some, others, expected in (
            ([], [], True),
            ([gpu('a')], [gpu('b')], True),
            ([gpu(), nic('p')], [nic('p'), gpu()], True),
            ([gpu()], [], False),
            ([gpu(count=2)], [gpu()], False),
            ([gpu(numa_policy='required')], [gpu()], False),
            ([nic('p')], [nic('q')], False),
        ):
            self.assertEqual(expected, needs.ask_alike(some, others))
