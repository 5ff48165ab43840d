# SPDX-License-Identifier: Apache-2.0
"""Tests of the request grammar."""

from typing import Any

import hypothesis
from hypothesis import strategies
from oslo_utils import uuidutils
import testtools

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.specs import request

UUID = '5e5d5a3e-95c5-4a0a-9cd8-0c1f3a8d6a01'

ACCEPTED: list[tuple[str, list[tuple[list[str], int]]]] = [
    ('10g', [(['10g'], 1)]),
    ('10g:2', [(['10g'], 2)]),
    ('10g:64', [(['10g'], 64)]),
    (
        '10g:2,bigGPU|midGPU:1',
        [(['10g'], 2), (['bigGPU', 'midGPU'], 1)],
    ),
    (' big GPU | midGPU : 02 , x ', [(['big GPU', 'midGPU'], 2), (['x'], 1)]),
    ('10g,10g:2', [(['10g'], 1), (['10g'], 2)]),
    (f'{UUID}|10g', [([UUID, '10g'], 1)]),
    (','.join(['x'] * 32), [(['x'], 1)] * 32),
]

#: text, part at fault, part of the reason
REFUSED: list[tuple[Any, str, str]] = [
    (None, 'None', 'no string'),
    ('', '', 'empty'),
    ('10g,', '', 'empty'),
    ('10g,,x', '', 'empty'),
    ('10g:0', '10g:0', 'from 1 to 64'),
    ('x,10g:65', '10g:65', 'from 1 to 64'),
    ('10g:-1', '10g:-1', 'from 1 to 64'),
    ('10g:', '10g:', 'from 1 to 64'),
    ('10g:two', '10g:two', 'from 1 to 64'),
    ('10g:1.0', '10g:1.0', 'from 1 to 64'),
    ('10g:\u0662', '10g:\u0662', 'from 1 to 64'),
    ('10g:' + '9' * 5000, '10g:' + '9' * 5000, 'from 1 to 64'),
    ('10g:1:1', '10g:1:1', 'more than one count'),
    ('10g|', '10g|', "the name '' must be"),
    ('a|b|a', 'a|b|a', 'twice'),
    ('a/b', 'a/b', 'has one of'),
    ('a\x00', 'a\x00', 'unprintable'),
    ('x' * 256, 'x' * 256, '1 to 255'),
    (','.join(['x'] * 33), ','.join(['x'] * 33), 'more than 32 requests'),
    (','.join(['a|b'] * 13), ','.join(['a|b'] * 13), 'more than 4096'),
]


class ParseTest(testtools.TestCase):
    def test_accepted(self) -> None:
        for text, wanted in ACCEPTED:
            requests = request.parse(text)
            self.assertEqual(
                wanted, [(item.pci_flavors, item.count) for item in requests]
            )
            self.assertEqual({None}, {item.numa_policy for item in requests})
            ids = {item.request_id for item in requests}
            self.assertEqual(len(wanted), len(ids))
            self.assertTrue(all(uuidutils.is_uuid_like(item) for item in ids))

    def test_refused(self) -> None:
        for text, part, reason in REFUSED:
            error = self.assertRaises(
                exception.InvalidRequest, request.parse, text
            )
            self.assertEqual(part, error.request)
            self.assertIn(reason, error.reason, repr(text))

    def test_example_only_where_it_helps(self) -> None:
        for read, is_shown in (
            (lambda: request.parse('10g:x'), True),
            (lambda: request.parse('a|a'), True),
            (lambda: request.parse(','.join(['a|b'] * 13)), False),
            (
                lambda: request.from_extra_specs({'hardware_resource:a': 'x'}),
                False,
            ),
            (
                lambda: request.check_extra_specs({'pci_passthrough:x': 'a'}),
                False,
            ),
            (lambda: request.check_owner('me'), False),
        ):
            error = self.assertRaises(exception.InvalidRequest, read)
            self.assertEqual(is_shown, 'for example' in str(error), str(error))

    def test_maximum_of_combinations(self) -> None:
        self.assertEqual(12, len(request.parse(','.join(['a|b'] * 12))))


class ExtraSpecsTest(testtools.TestCase):
    def test_none(self) -> None:
        self.assertEqual([], request.from_extra_specs({'hw:cpu': 'shared'}))

    def test_both_ways(self) -> None:
        requests = request.from_extra_specs(
            {
                'hardware_resource:small': ' 2 ',
                'hardware_resource:big': '1',
                'pci_passthrough:pci_flavor': '10g:2',
                'pci_passthrough:alias': 'old:1',
            }
        )
        self.assertEqual(
            ['10g:2', 'big:1', 'small:2'], [str(item) for item in requests]
        )

    def test_refused(self) -> None:
        name = 'hardware_resource:'
        wrong: list[tuple[dict[str, str], str]] = [
            ({request.EXTRA_SPEC: ''}, 'empty'),
            ({name: '1'}, "the name '' must be"),
            ({f'{name}a': '0'}, 'from 1 to 64'),
            ({f'{name}a': ''}, 'from 1 to 64'),
            ({f'{name}a|b': '1'}, 'has one of'),
            ({f'{name}{i}': '1' for i in range(33)}, 'more than 32 requests'),
            (
                {
                    request.EXTRA_SPEC: ','.join(['x'] * 32),
                    f'{name}a': '1',
                },
                'more than 32 requests',
            ),
        ]
        for extra_specs, reason in wrong:
            error = self.assertRaises(
                exception.InvalidRequest,
                request.from_extra_specs,
                extra_specs,
            )
            self.assertIn(reason, error.reason)


def for_nic(
    *networks: str, vnic_type: str | None = 'direct', **changes: Any
) -> objects.PciRequest:
    """Return a request for a NIC."""
    [parsed] = request.parse('10g')
    nic = objects.RequestedNic(
        vnic_type=vnic_type, physical_networks=list(networks)
    )
    return parsed.replace(nic=nic, **changes)


class NicTest(testtools.TestCase):
    def test_accepted(self) -> None:
        many = [f'physnet{number}' for number in range(1024)]
        for networks in ([], ['physnet1'], many, ['x' * 64]):
            request.check([for_nic(*networks), for_nic(vnic_type=None)])

    def test_refused(self) -> None:
        for wrong, reason in (
            (for_nic(count=2), 'exactly one device of one PCI flavor'),
            (
                for_nic(pci_flavors=['a', 'b']),
                'exactly one device of one PCI flavor',
            ),
            (for_nic('physnet1', ''), 'of 1 to 64 characters'),
            (for_nic('x' * 65), 'of 1 to 64 characters'),
            (for_nic(*['x'] * 1025), 'at most 1024 physical networks'),
        ):
            error = self.assertRaises(
                exception.InvalidRequest, request.check, [wrong]
            )
            self.assertIn(reason, error.reason)
            self.assertNotIn('physnet1', error.text)

    def test_vnic_types(self) -> None:
        request.check_vnic_types([for_nic(), *request.parse('10g:2')])
        error = self.assertRaises(
            exception.InvalidRequest,
            request.check_vnic_types,
            [for_nic(), for_nic(vnic_type=None)],
        )
        self.assertIn('vnic_type', error.reason)


class FuzzTest(testtools.TestCase):
    @hypothesis.given(
        strategies.text('ab1 :|,\u00e9\u0662\n', max_size=30)
        | strategies.text(max_size=30)
    )
    def test_grammar(self, text: str) -> None:
        try:
            requests = request.parse(text)
            again = request.parse(','.join(str(item) for item in requests))
        except exception.InvalidRequest:
            return
        self.assertEqual(
            [str(item) for item in requests], [str(item) for item in again]
        )

    @hypothesis.given(
        strategies.dictionaries(
            strategies.sampled_from(
                [request.EXTRA_SPEC, request.EXTRA_SPEC_PREFIX, 'hw:x']
            )
            | strategies.text(max_size=5).map('hardware_resource:'.__add__),
            strategies.text(max_size=10),
        )
    )
    def test_extra_specs(self, extra_specs: dict[str, str]) -> None:
        try:
            request.from_extra_specs(extra_specs)
        except exception.InvalidRequest:
            pass
