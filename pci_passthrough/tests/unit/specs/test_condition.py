# SPDX-License-Identifier: Apache-2.0
"""Tests of conditions: which values of each match key are accepted."""

from typing import Any

import testtools

from pci_passthrough import objects
from pci_passthrough.specs import condition as condition_spec
from pci_passthrough.specs import match_key

#: match key, value as written, accepted device values, other device values
ACCEPTED: list[tuple[str, Any, list[str], list[str]]] = [
    ('vendor_id', '8086', ['8086'], ['8087']),
    ('vendor_id', ' 0x10DE ', ['10de'], ['8086']),
    ('vendor_id', '1', ['0001'], ['1000']),
    ('vendor_id', '*', ['8086', '0000'], []),
    ('product_id', '10C[ab]', ['10ca', '10cb'], ['10cc']),
    ('product_id', '10c[!a]', ['10cb'], ['10ca']),
    ('product_id', '0x10*', ['10ca', '1000'], ['20ca']),
    ('product_id', '1???', ['1abc'], ['0abc']),
    ('product_id', ['10ca', '2*'], ['10ca', '2fff'], ['10cb']),
    ('product_id', {'regex': '10C[AB]'}, ['10ca'], ['10cc']),
    ('product_id', {'regex': '10'}, [], ['10ca']),
    ('subsystem_vendor_id', '15b3', ['15b3'], ['15b4']),
    ('subsystem_id', '000[1-2]', ['0001'], ['0003']),
    ('class', 'network', ['020000', '020700'], ['030000']),
    ('class', 'Display', ['030000', '030200'], ['020000']),
    ('class', 'crypto', ['100000'], ['120000']),
    ('class', 'encryption', ['108000'], ['020000']),
    ('class', 'accelerator', ['120000'], ['020000']),
    ('class', 'storage', ['010802'], ['020000']),
    ('class', '02', ['020000'], ['120000']),
    ('class', '0x0300', ['030000', '030001'], ['030200']),
    ('class', '0300*', ['030000'], ['030200']),
    ('class', '0x02*', ['020000'], ['030000']),
    ('class', '010802', ['010802'], ['010801']),
    ('class', ['network', '0302'], ['020000', '030200'], ['030000']),
    ('class', {'regex': '0[23].*'}, ['020000', '030200'], ['010000']),
    ('address', '0000:65:00.1', ['0000:65:00.1'], ['0000:65:00.0']),
    ('address', '0:A:0.1', ['0000:0a:00.1'], ['0000:0a:00.0']),
    ('address', '0000:65:00.*', ['0000:65:00.1'], ['0000:66:00.1']),
    ('address', '*:0a:00.*', ['0001:0a:00.7'], ['0001:0b:00.7']),
    ('address', '0a:00', ['0001:0a:00.7'], ['0001:0a:01.7']),
    ('address', ':00.1', ['0001:0a:00.1'], ['0001:0a:01.1']),
    ('address', '.1', ['0001:0a:00.1'], ['0001:0a:00.2']),
    ('address', '*', ['0001:0a:00.1'], []),
    ('address', '0000:6?:00.[0-3]', ['0000:6a:00.3'], ['0000:6a:00.4']),
    ('address', '10000:65:00.0', ['10000:65:00.0'], ['0000:65:00.0']),
    (
        'address',
        ['0000:65:00.0', '0000:66:*.*'],
        ['0000:65:00.0', '0000:66:01.1'],
        ['0000:65:00.1'],
    ),
    (
        'address',
        {'domain': '.*', 'bus': '02', 'slot': '01', 'function': '[0-2]'},
        ['0000:02:01.0', '10000:02:01.2'],
        ['0000:02:01.3', '0000:03:01.0'],
    ),
    ('address', {'bus': '^0A$'}, ['0000:0a:1f.7'], ['0000:0b:00.0']),
    ('address', {'bus': '[0-2]'}, ['0000:2f:1f.7'], ['0000:3f:00.0']),
    (
        'address',
        {'regex': r'0000:6[56]:00\.\d'},
        ['0000:66:00.0'],
        ['0000:67:00.0'],
    ),
    ('parent_addr', '0000:65:00.0', ['0000:65:00.0'], ['0000:65:00.1']),
    ('dev_type', 'type-VF', ['type-VF'], ['type-PF']),
    ('dev_type', ['type-VF', 'vdpa'], ['vdpa'], ['type-PF']),
    ('driver', 'vfio*', ['vfio-pci'], ['i40e']),
    ('driver', 'VFIO*', [], ['vfio-pci']),
    ('driver', {'regex': 'mlx[45]_core'}, ['mlx5_core'], ['mlx3_core']),
    ('numa_node', 1, ['1'], ['0', '11']),
    ('numa_node', '01', ['1'], ['0']),
    ('numa_node', [0, '2'], ['0', '2'], ['1']),
    ('numa_node', '[0-3]', ['3'], ['4', '13']),
    ('numa_node', {'regex': '[01]'}, ['0', '1'], ['2', '11']),
    ('devname', 'eth0', ['eth0'], ['eth1']),
    ('vgpu_type', 558, ['558'], ['55', '5580']),
    ('vgpu_type', ['558', '56?'], ['558', '561'], ['559']),
    ('resource_type', 'usb', ['usb'], ['pci']),
    ('resource_type', ['usb', 'mdev'], ['mdev'], ['pci']),
    ('serial_number', '00A1*', ['00A1B2'], ['00a1b2', '10A1']),
    ('port', '1-2.*', ['1-2.3', '1-2.3.1'], ['1-2', '2-2.3']),
    ('port', '1-[1-4]', ['1-3'], ['1-5', '1-3.1']),
    ('devname', 'ens1f[01]', ['ens1f1'], ['ens1f2']),
]

#: match key, value as written, part of the reason
REFUSED: list[tuple[str, Any, str]] = [
    ('vendor_id', 8086, 'quote it'),
    ('vgpu_type', 'GRID A100-1-5C', 'is not the number of a vGPU type'),
    ('resource_type', 'USB', 'is not the name of a resource type'),
    ('resource_type', 'm*', 'is not the name of a resource type'),
    ('resource_type', {'regex': 'usb'}, 'list the values'),
    ('port', 'usb1', 'is not the bus and port'),
    ('vgpu_type', '[5-1]', 'is not the number of a vGPU type'),
    ('vendor_id', 80.86, 'quote it'),
    ('vendor_id', [8086], 'quote it'),
    ('vendor_id', True, 'wrong type'),
    ('vendor_id', None, 'wrong type'),
    ('vendor_id', [['8086']], 'wrong type'),
    ('vendor_id', [{'regex': '8086'}], 'wrong type'),
    ('vendor_id', [], 'empty list'),
    ('vendor_id', '', 'empty string'),
    ('vendor_id', ' ', 'empty string'),
    ('vendor_id', '0x', 'not hexadecimal'),
    ('vendor_id', 'intel', 'not hexadecimal'),
    ('vendor_id', '10000', 'greater than ffff'),
    ('vendor_id', '80861*', 'fits no 4 digits'),
    ('vendor_id', '8?', 'fits no 4 digits'),
    ('vendor_id', '808[6', 'not hexadecimal'),
    ('vendor_id', '808[9-1]', 'the range 9-1 is empty'),
    ('vendor_id', '*' * 256, 'longer than 255'),
    ('vendor_id', {}, 'must be {"regex"'),
    ('vendor_id', {'regex': 8086}, 'must be {"regex"'),
    ('vendor_id', {'regex': '8', 'x': ''}, 'must be {"regex"'),
    ('vendor_id', {'bus': '02'}, 'must be {"regex"'),
    ('vendor_id', {'regex': '80(86'}, 'no regular expression'),
    ('vendor_id', {'regex': 'a{99999999999}'}, 'no regular expression'),
    ('vendor_id', {'regex': 'a' * 256}, 'longer than 255'),
    ('class', 'netwrok', "did you mean 'network'?"),
    ('class', '020', '2, 4 or 6 digits'),
    ('class', '0200000', '2, 4 or 6 digits'),
    ('class', '0200000*', '2, 4 or 6 digits'),
    ('class', 2, 'quote it'),
    ('address', '1:0000:65:00.0', 'more parts'),
    ('address', '0000:165:00.0', 'bus 165 is greater than ff'),
    ('address', '0000:65:20.0', 'slot 20 is greater than 1f'),
    ('address', '0000:65:00.8', 'function 8 is greater than 7'),
    ('address', '123456789:65:00.0', 'domain 123456789 is greater'),
    ('address', '0000:65:00.0.0', 'function is not hexadecimal'),
    ('address', '0000:gg:00.0', 'bus is not hexadecimal'),
    ('address', {}, 'without parts'),
    ('address', {'func': '0'}, "no part 'func'"),
    ('address', {'bus': 2}, 'no string'),
    ('address', {'bus': '['}, 'bus: '),
    ('address', {'bus': '2'}, 'not all 2 digits'),
    ('address', {'slot': '20'}, 'slot 20 is greater than 1f'),
    ('dev_type', 'type-vf', 'none of type-PCI'),
    ('dev_type', 'type-*', 'none of type-PCI'),
    ('dev_type', {'regex': 'type.*'}, 'list the values'),
    ('driver', 'vfio pci', 'not allowed here'),
    ('numa_node', -1, 'not the number'),
    ('numa_node', 0.0, 'not the number'),
    ('numa_node', False, 'wrong type'),
    ('numa_node', 'one', 'not the number'),
    ('devname', 'eth/0', 'not allowed here'),
]


class ConditionTest(testtools.TestCase):
    def test_accepted(self) -> None:
        for key, value, accepted, others in ACCEPTED:
            condition = condition_spec.Condition.parse(key, value)
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
                ValueError, condition_spec.Condition.parse, key, value
            )
            self.assertIn(reason, str(error), f'{key}: {value!r}')

    def test_every_key_is_in_the_tables(self) -> None:
        self.assertEqual(set(match_key.KEYS), {row[0] for row in ACCEPTED})

    def test_equal_conditions(self) -> None:
        for key, value, other in (
            ('vendor_id', '0x8086', ['8086']),
            ('vendor_id', ['8086', '10de'], ['10DE', '8086', '8086']),
            ('class', 'network', '0x02'),
            ('class', ['crypto'], 'encryption'),
            ('address', '65:00.0', '*:65:00.0'),
            ('address', {'bus': '02'}, {'bus': '02', 'slot': '.*'}),
            ('numa_node', 1, '1'),
            ('vendor_id', {'regex': '80.*'}, {'regex': '80.*'}),
        ):
            memo = {condition_spec.Condition.parse(key, value): True}
            self.assertTrue(memo[condition_spec.Condition.parse(key, other)])

    def test_different_conditions_differ(self) -> None:
        parse = condition_spec.Condition.parse
        self.assertNotEqual(
            parse('vendor_id', '8086'), parse('product_id', '8086')
        )
        self.assertNotEqual(
            parse('vendor_id', '8086'), parse('vendor_id', '8087')
        )

    def test_malformed_address_is_not_accepted(self) -> None:
        condition = condition_spec.Condition.parse('address', {'bus': '02'})
        self.assertFalse(condition.accepts('somewhere'))

    def test_names_exactly(self) -> None:
        condition = condition_spec.Condition.parse(
            'address', ['0000:65:00.0', '0000:66:00.*']
        )
        self.assertTrue(condition.names_exactly('0000:65:00.0'))
        self.assertFalse(condition.names_exactly('0000:66:00.0'))
        self.assertFalse(condition.names_exactly(None))

    def test_value_of_a_pool_key(self) -> None:
        key = objects.PoolKey(
            vendor_id='8086',
            product_id='10ca',
            subsystem_vendor_id=None,
            subsystem_id=None,
            pci_class='020000',
            dev_type='type-VF',
            driver=None,
            numa_node=1,
            extra_info=(('group', '10g'),),
        )
        for name, written, value in (
            ('class', '02', '020000'),
            ('numa_node', '1', '1'),
            ('driver', 'i40e', None),
        ):
            condition = condition_spec.Condition.parse(name, written)
            self.assertEqual(value, condition.value_of(key))
        for name, value in (('e.group', '10g'), ('e.san', None)):
            tag = condition_spec.Condition(name, frozenset(), '""')
            self.assertEqual(value, tag.value_of(key))

    def test_str_shows_what_was_written(self) -> None:
        condition = condition_spec.Condition.parse('vendor_id', ['0x8086'])
        self.assertEqual('vendor_id = ["0x8086"]', str(condition))
