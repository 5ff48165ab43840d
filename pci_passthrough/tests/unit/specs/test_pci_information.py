# SPDX-License-Identifier: Apache-2.0
"""Tests of pci_information: four forms, invalid entries, first match."""

import json
from typing import Any

import hypothesis
from hypothesis import strategies
import testtools

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.specs import condition
from pci_passthrough.specs import match_key
from pci_passthrough.specs import pci_information

MATCH = '{"vendor_id": "8086", "product_id": "000[1-2]"}'

#: entry as written, key at fault, part of the reason
REFUSED: list[tuple[str, str | None, str]] = [
    ('{"driver": "x", "handler": 1}', 'handler', 'must be the name'),
    ('{"match": {"driver": "x"}, "count": 0}', 'count', 'from 1 on'),
    ('{"match": {"driver": "x"}, "count": true}', 'count', 'from 1 on'),
    ('{"driver": "x", "count": "4"}', 'count', 'without quotes'),
    ('{"match": {"driver": "x"}, "type": 1}', 'type', 'quote it'),
    (
        '{"match": {"driver": "x"}, "type": "a", "extra_info": {"type": "b"}}',
        'type',
        'given twice',
    ),
    ('{"driver": "x", "type": "type-VF"}', 'type', "mean 'dev_type'"),
    ('{"match": {"port": "1-2"}}', 'port', 'PCI functions have none'),
    (
        '{"resource_type": ["usb", "mdev"]}',
        'resource_type',
        'not about several',
    ),
    ('{"resource_type": "a b"}', 'resource_type', 'not the name'),
    ('{"driver": "x", "handler": []}', 'handler', 'means no handler'),
    ('{"driver": "x", "handler": "Reset"}', 'handler', 'must be the name'),
    ('{"driver": "x", "handler": "a:b c"}', 'handler', 'without blanks'),
    ('{"driver": "x", "handler": "driver:"}', 'handler', 'must be the name'),
    (f'{{"driver": "x", "handler": "{65 * "a"}"}}', 'handler', 'at most 64'),
    ('{"driver": "x", "handler": ["a", "a"]}', 'handler', 'twice'),
    ('{"driver": "x", "handler": ["a", "none"]}', 'handler', 'contradicts'),
    (
        json.dumps({'driver': 'x', 'handler': list('abcdefghijklmnopq')}),
        'handler',
        'more than 16',
    ),
    (
        '{"match": {"driver": "x"}, "exclude": true, "handler": "reset"}',
        'exclude',
        'contradicts "handler"',
    ),
    (
        '{"driver": "x", "handler": "reset", "on_failure": "ignore"}',
        'on_failure',
        'quarantine, retry',
    ),
    (
        '{"driver": "x", "handler": "none", "on_failure": "retry"}',
        'on_failure',
        'there is none',
    ),
    ('', None, 'not JSON: Expecting value at character 1'),
    ("{'match': {}}", None, 'at character 2'),
    ('{"match": {"vendor_id": "8086"}', None, 'at character 32'),
    ('{"vendor_id": "8086"} x', None, 'Extra data at character 23'),
    ('{"match": NaN}', None, 'NaN is not JSON'),
    ('{"vendor_id": ' + '9' * 5000 + '}', None, 'not usable JSON'),
    ('[' * 100000, None, 'not usable JSON'),
    ('"8086"', None, 'neither an object nor a list'),
    ('null', None, 'neither an object nor a list'),
    ('{"match": {"vendor_id": "1", "vendor_id": "2"}}', 'vendor_id', 'twice'),
    ('{"match": {}, "match": {}}', 'match', 'twice'),
    # The explicit form.
    ('{"match": {}}', 'match', 'every device'),
    ('{"match": []}', 'match', 'not an object'),
    ('{"match": null}', 'match', 'not an object'),
    (
        '{"match": {"vendor_id": "1"}, "tags": {}}',
        'tags',
        'not allowed beside',
    ),
    (
        '{"match": {"vendor_id": "1"}, "extra_info": []}',
        'extra_info',
        'not an object',
    ),
    (
        '{"match": {"vendorid": "1"}}',
        'vendorid',
        "no such match key, did you mean 'vendor_id'?",
    ),
    ('{"match": {"group": "1"}}', 'group', 'keys are: vendor_id,'),
    ('{"match": {"vendor_id": 8086}}', 'vendor_id', 'quote it'),
    (
        '{"match": {"vendor_id": "1"}, "exclude": "true"}',
        'exclude',
        'without quotes',
    ),
    (
        '{"match": {"vendor_id": "1"}, "allow_in_use": 1}',
        'allow_in_use',
        'without quotes',
    ),
    (
        '{"match": {"vendor_id": "1"}, "exclude": true, '
        '"extra_info": {"group": "a"}}',
        'exclude',
        'no extra info',
    ),
    (
        '{"match": {"vendor_id": "1"}, "exclude": true, "allow_in_use": true}',
        'exclude',
        'contradicts',
    ),
    (
        '{"match": {"vendor_id": "1"}, "exclude": true, "confirm_new": true}',
        'exclude',
        'contradicts "confirm_new"',
    ),
    (
        '{"match": {"address": "*", "devname": "eth0"}}',
        'devname',
        'exclude each other',
    ),
    # The blueprint's form.
    ('[]', None, 'a list must be'),
    ('[{"vendor_id": "1"}, {}, {}]', None, 'a list must be'),
    ('[{"vendor_id": "1"}, "e.group"]', None, 'a list must be'),
    ('[{}]', 'match', 'every device'),
    ('[{"vendor_id": "1"}, {"group": "a"}]', 'group', 'keys e.<name> only'),
    ('[{"vendor_id": "1"}, {"vendor_id": "2"}]', 'vendor_id', 'e.<name>'),
    ('[{"vendor_id": "1", "group": "a"}]', 'group', 'no such match key'),
    ('[{"vendor_id": "1"}, {"e.": "a"}]', '', 'begins with'),
    ('[{"vendor_id": "1"}, {"e.exclude": "a"}]', 'exclude', 'is reserved'),
    # Nova's form.
    ('{}', 'match', 'every device'),
    ('{"physical_network": "physnet1"}', 'match', 'every device'),
    ('{"vendor_id": "1", "extra_info": {}}', 'extra_info', 'together with'),
    ('{"address": "*", "devname": "eth0"}', 'devname', 'exclude each other'),
    (
        '{"vendor_id": "1", "product": "2"}',
        'product',
        "did you mean 'product_id'?",
    ),
    ('{"vendor_id": "1", "vendor-id": "2"}', 'vendor-id', "'vendor_id'?"),
    ('{"vendor_id": "1", "exclude": true, "a": "b"}', 'exclude', 'no extra'),
    ('{"vendor_id": "1", "e.group": "a"}', 'e.group', "prefix here: 'group'"),
    # Tags.
    ('{"vendor_id": "1", "physical_network": null}', 'physical_network', ''),
    ('{"vendor_id": "1", "trusted": true}', 'trusted', 'quote it'),
    ('{"vendor_id": "1", "group": 10}', 'group', 'quote it'),
    ('{"vendor_id": "1", "group": ["a"]}', 'group', 'not a string'),
    ('{"vendor_id": "1", "group": ""}', 'group', 'empty'),
    ('{"vendor_id": "1", "group": " a"}', 'group', 'blanks'),
    ('{"vendor_id": "1", "group": "a\\u0000"}', 'group', 'unprintable'),
    ('{"vendor_id": "1", "group": "\\ud800"}', 'group', 'unprintable'),
    (
        '{"vendor_id": "1", "group": "' + 'a' * 256 + '"}',
        'group',
        'longer than 255',
    ),
    ('{"vendor_id": "1", "Group": "a"}', 'Group', 'lower case'),
    ('{"vendor_id": "1", "": "a"}', '', 'begins with'),
    (
        '{"vendor_id": "1", "' + 'a' * 65 + '": "a"}',
        'a' * 65,
        'longer than 64',
    ),
    (
        '{"match": {"vendor_id": "1"}, "extra_info": {"product_id": "a"}}',
        'product_id',
        'is reserved',
    ),
]


def device(**changes: Any) -> objects.PciDevice:
    facts: dict[str, Any] = {
        'address': '0000:65:00.1',
        'parent_addr': None,
        'dev_type': 'type-PF',
        'vendor_id': '8086',
        'product_id': '0001',
        'subsystem_vendor_id': None,
        'subsystem_id': None,
        'pci_class': '020000',
        'driver': 'i40e',
        'numa_node': 0,
        'devname': 'eth1',
    }
    return objects.PciDevice(**{**facts, **changes})


def virtual_function() -> objects.PciDevice:
    return device(
        address='0000:65:0a.1',
        parent_addr='0000:65:00.1',
        dev_type='type-VF',
        devname=None,
    )


def parse(*values: str) -> tuple[pci_information.Entry, ...]:
    return pci_information.PciInformation.parse(values).entries


class FormsTest(testtools.TestCase):
    def test_three_forms_of_an_entry_are_equal(self) -> None:
        explicit, blueprint, flat = parse(
            f'{{"match": {MATCH}, "extra_info": {{"group": "gpu"}}}}',
            f'[{MATCH}, {{"e.group": "gpu"}}]',
            '{"group": "gpu", "product_id": "000[1-2]", "vendor_id": "8086"}',
        )
        self.assertEqual(explicit, blueprint)
        self.assertEqual(explicit, flat)
        self.assertEqual(1, len({explicit, blueprint, flat}))
        self.assertEqual({'group': 'gpu'}, explicit.extra_info)
        self.assertEqual(
            ['product_id', 'vendor_id'],
            [condition.key for condition in explicit.match],
        )

    def test_without_extra_info(self) -> None:
        entries = parse(
            f'{{"match": {MATCH}}}', f'[{MATCH}]', f'[{MATCH}, {{}}]', MATCH
        )
        self.assertEqual(1, len(set(entries)))
        self.assertFalse(entries[0].exclude)
        self.assertFalse(entries[0].allow_in_use)

    def test_flags(self) -> None:
        for flag in ('exclude', 'allow_in_use', 'confirm_new'):
            explicit, flat = parse(
                f'{{"match": {{"address": "*"}}, "{flag}": true}}',
                f'{{"address": "*", "{flag}": true}}',
            )
            self.assertEqual(explicit, flat)
            self.assertTrue(getattr(explicit, flag))

    def test_text_and_index_are_kept(self) -> None:
        first, second = parse(MATCH, f'[{MATCH}]')
        self.assertEqual((MATCH, 0), (first.text, first.index))
        self.assertEqual((f'[{MATCH}]', 1), (second.text, second.index))

    def test_tag_similar_to_a_match_key(self) -> None:
        (entry,) = parse(
            f'{{"match": {MATCH}, "extra_info": {{"product": "x"}}}}'
        )
        self.assertEqual({'product': 'x'}, entry.extra_info)

    def test_tags_of_nova(self) -> None:
        tags = {
            'physical_network': 'physnet1',
            'trusted': 'true',
            'remote_managed': 'false',
            'managed': 'no',
            'live_migratable': 'yes',
            'resource_class': 'CUSTOM_GPU',
            'traits': 'CUSTOM_A,CUSTOM_B',
        }
        (entry,) = parse(json.dumps({'devname': 'eth1', **tags}))
        self.assertEqual(tags, entry.extra_info)

    def test_no_entries(self) -> None:
        self.assertEqual((), parse())


class RefusedTest(testtools.TestCase):
    def test_refused(self) -> None:
        for text, key, reason in REFUSED:
            error = self.assertRaises(
                exception.InvalidPciInformation, parse, text
            )
            self.assertEqual(key, error.key, text)
            self.assertIn(reason, error.reason, text)
            self.assertEqual(text, error.entry)

    def test_examples_are_right(self) -> None:
        parse(pci_information.EXAMPLE)
        for key, syntax in match_key.KEYS.items():
            usb = '"resource_type": "usb", ' if key == 'port' else ''
            parse(f'{{{usb}"{key}": {syntax.example}}}')


class WordsTest(testtools.TestCase):
    def test_words_are_tags(self) -> None:
        forms = (
            '{"match": {"vendor_id": "8086"}, "type": "NIC", '
            '"description": "A port", "information": "see wiki", "count": 2}',
            '{"vendor_id": "8086", "type": "NIC", '
            '"description": "A port", "information": "see wiki", "count": 2}',
        )
        for text in forms:
            (entry,) = pci_information.PciInformation.parse([text]).entries
            self.assertEqual(
                {
                    'type': 'NIC',
                    'description': 'A port',
                    'information': 'see wiki',
                },
                entry.extra_info,
            )
            self.assertEqual(2, entry.count)

    def test_tags_of_earlier_releases_stay_tags(self) -> None:
        (flat, explicit) = pci_information.PciInformation.parse(
            [
                '{"vendor_id": "8086", "port": "1"}',
                '{"match": {"vendor_id": "8086"}, "extra_info": '
                '{"count": "4", "port": "1", "serial_number": "a"}}',
            ]
        ).entries
        self.assertEqual({'port': '1'}, flat.extra_info)
        self.assertIsNone(explicit.count)
        self.assertEqual(
            {'count': '4', 'port': '1', 'serial_number': 'a'},
            explicit.extra_info,
        )


class ResourceTypeTest(testtools.TestCase):
    def matches(self, text: str, **facts: Any) -> bool:
        (entry,) = pci_information.PciInformation.parse([text]).entries
        return entry.matches(objects.device.described(**facts))

    def test_an_entry_is_about_one_type(self) -> None:
        token = {
            'resource_type': 'usb',
            'address': '1-2.3',
            'vendor_id': '1050',
            'serial_number': '0001',
        }
        self.assertFalse(self.matches('{"vendor_id": "1050"}', **token))
        self.assertFalse(self.matches('{"match": {"address": "*"}}', **token))
        for wanted in (
            '"vendor_id": "1050"',
            '"port": "1-2.*"',
            '"serial_number": "0*"',
        ):
            text = f'{{"resource_type": "usb", {wanted}}}'
            self.assertTrue(self.matches(text, **token), text)
        self.assertFalse(
            self.matches('{"resource_type": "usb", "port": "1-3"}', **token)
        )

    def test_an_address_names_a_parent(self) -> None:
        vgpu = {
            'resource_type': 'mdev',
            'address': '5e5d5a3e-95c5-4a0a-9cd8-0c1f3a8d6a01',
            'parent_addr': '0000:41:00.0',
        }
        for address, expected in (
            ('0000:41:00.0', True),
            ('0000:42:00.0', False),
        ):
            text = f'{{"resource_type": "mdev", "address": "{address}"}}'
            self.assertEqual(expected, self.matches(text, **vgpu))


class FindTest(testtools.TestCase):
    def find(
        self,
        function: objects.PciDevice,
        *values: str,
        parent: str | None = None,
    ) -> int | None:
        information = pci_information.PciInformation.parse(values)
        entry = information.find(function, parent)
        return None if entry is None else entry.index

    def test_first_match_wins(self) -> None:
        values = (
            '{"vendor_id": "10de"}',
            '{"vendor_id": "8086", "product_id": "0001"}',
            '{"vendor_id": "8086"}',
        )
        self.assertEqual(1, self.find(device(), *values))
        self.assertEqual(2, self.find(device(product_id='0002'), *values))
        self.assertIsNone(self.find(device(vendor_id='1af4'), *values))

    def test_excluding_entry(self) -> None:
        information = pci_information.PciInformation.parse(
            ['{"address": "0000:65:00.*", "exclude": true}', MATCH]
        )
        entry = information.find(device())
        assert entry is not None
        self.assertTrue(entry.exclude)

    def test_every_key(self) -> None:
        function = virtual_function().replace(
            subsystem_vendor_id='8086', subsystem_id='0001', devname='eth5'
        )
        for text in (
            '{"class": "network"}',
            '{"address": "0000:65:0a.1"}',
            '{"parent_addr": "0000:65:00.1"}',
            '{"dev_type": "type-VF"}',
            '{"driver": "i40*"}',
            '{"numa_node": 0}',
            '{"devname": "eth5"}',
            '{"subsystem_vendor_id": "8086", "subsystem_id": "0001"}',
        ):
            self.assertEqual(0, self.find(function, text), text)

    def test_unset_property_matches_nothing(self) -> None:
        self.assertIsNone(self.find(device(), '{"subsystem_id": "*"}'))
        self.assertIsNone(
            self.find(device(numa_node=None), '{"numa_node": "*"}')
        )

    def test_physical_function_matches_its_virtual_functions(self) -> None:
        function = virtual_function()
        self.assertEqual(0, self.find(function, '{"address": "0000:65:00.1"}'))
        self.assertIsNone(self.find(function, '{"address": "0000:65:00.*"}'))
        self.assertIsNone(self.find(function, '{"devname": "eth1"}'))
        self.assertEqual(
            0, self.find(function, '{"devname": "eth1"}', parent='eth1')
        )
        self.assertIsNone(
            self.find(function, '{"devname": "eth*"}', parent='eth1')
        )


TEXTS = strategies.one_of(
    strategies.text(max_size=12),
    strategies.text('0123456789abcdefx*?[]-!:.^$(){}|+\\', max_size=16),
)
JSON = strategies.recursive(
    strategies.none()
    | strategies.booleans()
    | strategies.integers()
    | strategies.floats()
    | TEXTS,
    lambda inner: (
        strategies.lists(inner, max_size=3)
        | strategies.dictionaries(
            TEXTS | strategies.sampled_from(['regex', 'bus', 'domain']),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)
VALUES = (
    JSON
    | TEXTS
    | strategies.lists(TEXTS)
    | strategies.builds(lambda text: {'regex': text}, TEXTS)
)
MATCHES = strategies.dictionaries(
    strategies.sampled_from(sorted(match_key.KEYS)), VALUES, max_size=3
)
FLAGS = strategies.fixed_dictionaries(
    {},
    optional={
        'exclude': strategies.booleans() | JSON,
        'allow_in_use': strategies.booleans() | JSON,
    },
)
TAGS = strategies.dictionaries(TEXTS, TEXTS | JSON, max_size=3)
ENTRIES = strategies.one_of(
    JSON,
    strategies.builds(
        lambda match, tags, flags: {
            'match': match,
            'extra_info': tags,
            **flags,
        },
        MATCHES,
        TAGS,
        FLAGS,
    ),
    strategies.builds(
        lambda match, tags: [match, {f'e.{key}': tags[key] for key in tags}],
        MATCHES,
        TAGS,
    ),
    strategies.builds(
        lambda match, tags, flags: {**tags, **match, **flags},
        MATCHES,
        TAGS,
        FLAGS,
    ),
)


class FuzzTest(testtools.TestCase):
    def check(self, text: str) -> None:
        try:
            information = pci_information.PciInformation.parse([text])
        except exception.InvalidPciInformation as error:
            self.assertEqual(text, error.entry)
            return
        hash(information)
        for function in (device(), virtual_function()):
            entry = information.find(function)
            if entry is not None:
                objects.PciDevice(extra_info=dict(entry.extra_info))

    @hypothesis.given(ENTRIES)
    def test_entries(self, entry: Any) -> None:
        self.check(json.dumps(entry))

    @hypothesis.given(strategies.text())
    def test_text(self, text: str) -> None:
        self.check(text)

    @hypothesis.given(
        strategies.sampled_from(sorted(match_key.KEYS)), VALUES, TEXTS
    )
    def test_conditions(self, key: str, value: Any, text: str) -> None:
        try:
            parsed = condition.Condition.parse(key, value)
        except ValueError:
            return
        parsed.accepts(text)
        self.assertEqual(parsed, condition.Condition.parse(key, value))


class HandlersTest(testtools.TestCase):
    def test_handlers_of_an_entry(self) -> None:
        for value, handlers, on_failure in (
            ('{"driver": "x"}', None, 'quarantine'),
            ('{"driver": "x", "on_failure": "retry"}', None, 'retry'),
            ('{"driver": "x", "handler": "none"}', (), 'quarantine'),
            ('{"driver": "x", "handler": "reset"}', ('reset',), 'quarantine'),
            (
                '{"match": {"driver": "x"}, "on_failure": "retry", '
                '"handler": ["nvme-sanitize", "driver:vfio-pci"]}',
                ('nvme-sanitize', 'driver:vfio-pci'),
                'retry',
            ),
        ):
            [entry] = pci_information.PciInformation.parse([value]).entries
            self.assertEqual(handlers, entry.handlers)
            self.assertEqual(on_failure, entry.on_failure)
            self.assertEqual({}, entry.extra_info)
