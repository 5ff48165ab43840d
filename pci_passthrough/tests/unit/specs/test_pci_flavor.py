# SPDX-License-Identifier: Apache-2.0
"""Tests of PCI flavors' names and match expressions."""

from typing import Any

import hypothesis
from hypothesis import strategies
import testtools

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.specs import pci_flavor

#: key, value as written, accepted pool values, other pool values
ACCEPTED: list[tuple[str, str | list[str], list[str], list[str]]] = [
    ('vendor_id', '0x8086', ['8086'], ['10de']),
    ('vendor_id', ['8086', '10de'], ['8086', '10de'], ['15b3']),
    ('vendor_id', '<or> 8086 <or> 10DE', ['8086', '10de'], ['15b3']),
    ('vendor_id', 's== 0x8086', ['8086'], ['10de']),
    ('vendor_id', 's!= 8086', ['10de'], ['8086']),
    ('product_id', '10c*', ['10ca'], ['20ca']),
    ('subsystem_vendor_id', '15b3', ['15b3'], ['8086']),
    ('subsystem_id', '0001', ['0001'], ['0002']),
    ('class', 'network', ['020000'], ['030000']),
    ('class', '<or> network <or> 0302', ['020000', '030200'], ['030000']),
    ('class', 's!= network', ['030000'], ['020000']),
    ('dev_type', 'type-VF', ['type-VF'], ['type-PF']),
    ('dev_type', 's!= type-PF', ['type-VF'], ['type-PF']),
    ('driver', 'i40e', ['i40e'], ['ice']),
    ('driver', '<in> vfio', ['vfio-pci'], ['ice']),
    ('numa_node', '1', ['1'], ['0']),
    ('numa_node', '= 1', ['1', '2'], ['0']),
    ('numa_node', '<= 1', ['0', '1'], ['2']),
    ('numa_node', '<range-in> ( 0 2 ]', ['1', '2'], ['0', '3']),
    ('vgpu_type', '558', ['558'], ['55', '5580']),
    ('vgpu_type', ['558', '56?'], ['558', '561'], ['559']),
    ('vgpu_type', 's!= 558', ['559'], ['558']),
    ('resource_type', 'usb', ['usb'], ['pci', 'usbx']),
    ('resource_type', ['usb', 'mdev'], ['usb', 'mdev'], ['pci']),
    ('resource_type', 's!= pci', ['usb'], ['pci']),
    ('e.group', '10g', ['10g'], ['10G', '10']),
    ('e.group', '1*', ['1*'], ['10']),
    ('e.model', 'Tesla T4', ['Tesla T4'], ['Tesla']),
    ('e.group', ['10g', '25g'], ['10g', '25g'], ['40g']),
    ('e.group', '<or> 10g <or> 25g', ['10g', '25g'], ['40g']),
    ('e.group', 's!= 10g', ['25g'], ['10g']),
    ('e.speed', '>= 10', ['10', '25.5'], ['9', 'fast', 'nan', '', '0x10']),
    ('e.speed', '>=10', ['10'], ['9']),
    ('e.speed', '= 10', ['10', '25'], ['9']),
    ('e.speed', '== 10', ['10', '10.0'], ['9']),
    ('e.speed', '!= 10', ['9'], ['10', 'fast', 'nan', 'inf']),
    ('e.speed', '<range-in> [ 10 25 ]', ['10', '25'], ['9', '26', 'x', '08']),
    ('e.speed', 's> 2', ['25', '3'], ['10']),
    ('e.caps', '<in> tso', ['tso,gso'], ['gso']),
    (
        'e.caps',
        '<all-in> aes mmx',
        ["['aes', 'mmx', 'sse']"],
        ["['aes']", 'aes mmx', '1', '(' * 250, "'aes'"],
    ),
]

#: match key, value as written, part of the reason
REFUSED: list[tuple[str, Any, str]] = [
    ('address', '0000:65:00.0', "one host's device"),
    ('parent_addr', '0000:65:00.0', "one host's device"),
    ('devname', 'eth0', "one host's device"),
    ('pci_class', '02', "did you mean 'class'?"),
    ('vendorid', '8086', "did you mean 'vendor_id'?"),
    ('group', '10g', 'or is it e.group?'),
    ('e.', '10g', 'begins with'),
    ('e.Group', '10g', 'lower case'),
    ('vendor_id', 8086, 'quote it'),
    ('vendor_id', None, 'null is no string'),
    ('vendor_id', {'regex': '8086'}, 'not a string'),
    ('vendor_id', 'intel', 'not hexadecimal'),
    ('vendor_id', [], 'empty list'),
    ('vendor_id', ['8086', 1], 'quote it'),
    ('vendor_id', ['8086', '<or> 10de'], 'no operator in a list'),
    ('vendor_id', '', 'empty'),
    ('vendor_id', '>= 8086', 'operator >= does not apply'),
    ('vendor_id', '<in> 80', 'operator <in> does not apply'),
    ('vendor_id', 's== intel', 'not hexadecimal'),
    ('class', '<or> network <or> netwrok', "no class 'netwrok'"),
    ('dev_type', 'type-XX', 'none of'),
    ('driver', 'vfio*', 'takes no glob'),
    ('driver', '>= 1', 'operator >= does not apply'),
    ('numa_node', '*', 'takes no glob'),
    ('numa_node', '<in> 1', 'operator <in> does not apply'),
    ('e.speed', '>= fast', 'needs a number'),
    ('e.speed', '>= nan', 'needs a number'),
    ('e.speed', '>=', 'no operator expression'),
    ('e.speed', '>= 10 20', 'syntax error at character 7'),
    ('e.speed', '<range-in> [ 10 ]', 'no operator expression'),
    ('e.speed', '<range-in> [10 20]', 'no operator expression'),
    ('e.speed', '<range-in> { 10 20 }', 'needs brackets'),
    ('e.speed', '<range-in> [ a 20 ]', 'needs numbers'),
    ('e.speed', '<range-in> [ 20 10 ]', 'is empty'),
    ('e.speed', '<or>', 'needs a number'),
    ('e.speed', '<or> 1 2', 'syntax error'),
    ('e.speed', '<all-in>', 'needs a number'),
    ('e.group', 'a' * 256, 'longer than 255'),
    ('e.group', 'a\n', 'unprintable'),
]

NAMES_REFUSED = [
    ('', '1 to 255 characters'),
    ('a' * 256, '1 to 255 characters'),
    (None, '1 to 255 characters'),
    ('a\tb', 'unprintable'),
    (' a', 'blanks'),
    ('a ', 'blanks'),
    ('a,b', 'has one of'),
    ('..', 'special meaning'),
    ('a|b', 'has one of'),
    ('a:b', 'has one of'),
    ('a/b', 'has one of'),
    ('5e5d5a3e-95c5-4a0a-9cd8-0c1f3a8d6a01', 'looks like a UUID'),
    ('5E5D5A3E95C54A0A9CD80C1F3A8D6A01', 'looks like a UUID'),
]


class MatchExpressionTest(testtools.TestCase):
    def test_accepted(self) -> None:
        for key, value, accepted, others in ACCEPTED:
            ((condition, *_),) = pci_flavor.MatchExpression.parse(
                [{key: value}]
            ).terms
            self.assertEqual(key, condition.key)
            for text in accepted:
                self.assertTrue(
                    condition.accepts(text), f'{condition}: {text}'
                )
            for text in others:
                self.assertFalse(
                    condition.accepts(text), f'{condition}: {text}'
                )
            self.assertFalse(condition.accepts(None), str(condition))

    def test_refused(self) -> None:
        for key, value, reason in REFUSED:
            error = self.assertRaises(
                exception.InvalidPciFlavor,
                pci_flavor.MatchExpression.parse,
                [{key: value}],
            )
            self.assertEqual(key, error.key, f'{key}: {value!r}')
            self.assertIn(reason, error.reason, f'{key}: {value!r}')

    def test_refused_as_a_whole(self) -> None:
        wrong: list[tuple[Any, str]] = [
            ({}, 'a list of objects'),
            (['vendor_id'], 'a list of objects'),
            ([], 'matches no device'),
            ([{}], 'matches every device'),
            ([{'vendor_id': '8086'}, {}], 'matches every device'),
            ([{'vendor_id': '8086'}] * 65, 'more than 64'),
        ]
        for match, reason in wrong:
            error = self.assertRaises(
                exception.InvalidPciFlavor,
                pci_flavor.MatchExpression.parse,
                match,
            )
            self.assertIn(reason, error.reason)

    def test_keys_are_what_pools_have(self) -> None:
        self.assertEqual(
            {key for key, *_ in ACCEPTED if not key.startswith('e.')},
            set(pci_flavor.KEYS),
        )
        self.assertEqual(len(objects.POOL_FIELDS), len(pci_flavor.KEYS))

    def test_terms_are_or_of_and(self) -> None:
        expression = pci_flavor.MatchExpression.parse(
            [{'vendor_id': '8086', 'e.group': '10g'}, {'class': 'display'}]
        )
        self.assertEqual(
            [
                ['e.group', 'vendor_id', 'resource_type'],
                ['class', 'resource_type'],
            ],
            [
                [condition.key for condition in term]
                for term in expression.terms
            ],
        )

    def test_hardware_is_that_of_pci_functions(self) -> None:
        cases: list[tuple[dict[str, str | list[str]], list[str]]] = [
            ({'vendor_id': '10de'}, ['pci']),
            ({'vendor_id': '10de', 'e.group': 'a'}, ['pci']),
            ({'vendor_id': '10de', 'resource_type': 'mdev'}, ['mdev']),
            ({'resource_type': ['mdev', 'pci']}, ['mdev', 'pci']),
            ({'e.group': 'a'}, ['mdev', 'pci', 'usb']),
        ]
        for term, accepted in cases:
            with self.subTest(term=term):
                ((*conditions,),) = pci_flavor.MatchExpression.parse(
                    [term]
                ).terms
                self.assertEqual(
                    accepted,
                    [
                        resource_type
                        for resource_type in ('mdev', 'pci', 'usb')
                        if all(
                            condition.key != 'resource_type'
                            or condition.accepts(resource_type)
                            for condition in conditions
                        )
                    ],
                )

    def test_equal_however_written(self) -> None:
        parse = pci_flavor.MatchExpression.parse
        expression = parse([{'vendor_id': ['8086', '10de'], 'e.group': '10g'}])
        same = parse(
            [{'e.group': 's== 10g', 'vendor_id': '<or> 0x10de <or> 8086'}]
        )
        self.assertEqual(expression, same)
        self.assertEqual(hash(expression), hash(same))

    def test_names(self) -> None:
        for name in ('a', '10g', 'big GPU', 'Größe', 'a' * 255, 'a.b_c-d'):
            pci_flavor.validate_name(name)
        for wrong, reason in NAMES_REFUSED:
            error = self.assertRaises(
                exception.InvalidPciFlavor,
                pci_flavor.validate_name,
                wrong,
            )
            self.assertEqual('name', error.key)
            self.assertIn(reason, error.reason, repr(wrong))


OPERATORS = strategies.sampled_from(
    '= == != < <= > >= s== s!= s< s<= s> s>= <in> <or> <all-in> '
    '<range-in>'.split()
)
WORDS = strategies.one_of(
    strategies.text(max_size=8),
    OPERATORS,
    strategies.sampled_from(['[', '(', ']', ')', '10', '-1', '0x8086', '1e9']),
)
EXPRESSIONS = strategies.lists(WORDS, max_size=6).map(' '.join)
VALUES = strategies.one_of(
    EXPRESSIONS,
    strategies.lists(EXPRESSIONS, max_size=3),
    strategies.none() | strategies.integers() | strategies.booleans(),
    strategies.dictionaries(strategies.text(max_size=5), EXPRESSIONS),
)
KEYS = strategies.one_of(
    strategies.sampled_from([*pci_flavor.KEYS, 'e.group', 'address']),
    strategies.text(max_size=8),
)


class FuzzTest(testtools.TestCase):
    @hypothesis.given(
        strategies.lists(
            strategies.dictionaries(KEYS, VALUES, max_size=3), max_size=3
        ),
        EXPRESSIONS | strategies.text("[]()'0123456789e.+-_,* "),
    )
    def test_expressions(self, match: Any, value: str) -> None:
        try:
            expression = pci_flavor.MatchExpression.parse(match)
        except exception.InvalidPciFlavor:
            return
        hash(expression)
        for term in expression.terms:
            for condition in term:
                condition.accepts(value)

    @hypothesis.given(
        OPERATORS,
        EXPRESSIONS,
        EXPRESSIONS | strategies.text("[]()'0123456789e.+-_,* "),
    )
    def test_operators(self, operator: str, text: str, value: str) -> None:
        try:
            ((condition,),) = pci_flavor.MatchExpression.parse(
                [{'e.x': f'{operator} {text}'}]
            ).terms
        except exception.InvalidPciFlavor:
            return
        condition.accepts(value)


class LiveMigratableTest(testtools.TestCase):
    def test_every_term_must_require_it(self) -> None:
        yes: dict[str, str | list[str]] = {'e.live_migratable': 'yes'}
        gpu: dict[str, str | list[str]] = {'vendor_id': '10de'}
        cases: list[tuple[list[dict[str, str | list[str]]], bool]] = [
            ([yes], True),
            ([{**gpu, 'e.live_migratable': 'True'}], True),
            ([{**gpu, 'e.live_migratable': '1'}, yes], True),
            ([{**gpu, 'e.live_migratable': 's== true'}], True),
            ([{**gpu, 'e.live_migratable': ['true']}], True),
            ([gpu], False),
            ([yes, gpu], False),
            ([{'e.live_migratable': 'no'}], False),
            ([{'e.live_migratable': ['yes', 'no']}], False),
            ([{'e.live_migratable': ['yes', 'true']}], False),
            ([{'e.live_migratable': '<or> yes <or> no'}], False),
            ([{'e.live_migratable': 's!= no'}], False),
        ]
        for match, expected in cases:
            expression = pci_flavor.MatchExpression.parse(match)
            self.assertEqual(expected, expression.live_migratable, str(match))
            self.assertFalse(expression.trusted)
            trusted = pci_flavor.MatchExpression.parse(
                [
                    {
                        key.replace('live_migratable', 'trusted'): value
                        for key, value in term.items()
                    }
                    for term in match
                ]
            )
            self.assertEqual(expected, trusted.trusted, str(match))
            self.assertFalse(trusted.live_migratable)
