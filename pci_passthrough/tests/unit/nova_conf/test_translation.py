# SPDX-License-Identifier: Apache-2.0
"""Tests of reading and writing Nova's PCI options.

That the translations mean the same is shown with Nova itself, in
``tests/nova/test_nova_conf.py``.
"""

import json
from typing import Any

import hypothesis
from hypothesis import strategies
import testtools

from pci_passthrough import exception
from pci_passthrough import nova_conf
from pci_passthrough import objects
from pci_passthrough.nova_conf import alias
from pci_passthrough.nova_conf import device_spec
from pci_passthrough.nova_conf import placement_names
from pci_passthrough.nova_conf import to_alias
from pci_passthrough.nova_conf import to_device_spec
from pci_passthrough.objects import fields
from pci_passthrough.specs import pci_flavor
from pci_passthrough.specs import pci_information

_VENDOR = {'vendor_id': '8086'}

#: an object of device_spec, the match that it becomes
MATCHES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {'address': '*'}),
    ({'vendor_id': ' * ', 'product_id': '*'}, {'address': '*'}),
    ({'vendor_id': ' 0x15B3 '}, {'vendor_id': '15b3'}),
    (
        {'vendor_id': '1', 'product_id': 'A'},
        {'vendor_id': '0001', 'product_id': '000a'},
    ),
    ({'devname': 'eth0', 'address': ''}, {'devname': 'eth0'}),
    ({'devname': '', 'address': None, **_VENDOR}, _VENDOR),
    ({'devname': 'eth*'}, {'devname': {'regex': r'eth\*'}}),
    ({'address': '*:0a:00.*'}, {'address': '*:0a:00.*'}),
    ({'address': ':0A:0.'}, {'address': '*:0a:00.*'}),
    ({'address': '.1'}, {'address': '*:*:*.1'}),
    ({'address': '65:00.0'}, {'address': '*:65:00.0'}),
    ({'address': '0:65:0.0'}, {'address': '0000:65:00.0'}),
    ({'address': '*', **_VENDOR}, _VENDOR),
    ({'address': {}, **_VENDOR}, _VENDOR),
    ({'address': {'bus': '.*', 'slot': ''}}, {'address': '*'}),
    (
        {'address': {'bus': '02', 'function': '[2-7]'}},
        {'address': {'bus': '02', 'function': '[2-7]'}},
    ),
    ({'address': {'bus': '2'}}, {'address': {'bus': '2.*'}}),
    ({'address': {'bus': '0[A-F]'}}, {'address': {'bus': '(?-i:0[A-F])'}}),
    ({'address': {'bus': '0[0-b]'}}, {'address': {'bus': '(?-i:0[0-b])'}}),
    (
        {
            'address': {
                'domain': '0000',
                'bus': '65',
                'slot': '00',
                'function': '0',
            }
        },
        {'address': '0000:65:00.0'},
    ),
]

#: tag, value, the extra info that it becomes
TAGS: list[tuple[str, Any, dict[str, str]]] = [
    ('physical_network', 'physnet1', {'physical_network': 'physnet1'}),
    ('trusted', 'true', {'trusted': 'true'}),
    ('rank', 7, {'rank': '7'}),
    ('managed', 'No', {'managed': 'false'}),
    ('managed', True, {'managed': 'true'}),
    ('live_migratable', 'YES', {'live_migratable': 'true'}),
    ('one_time_use', 'no', {}),
    ('remote_managed', 'no', {}),
    ('remote_managed', 'rather not', {}),
    ('resource_class', 'gpu-vf', {'resource_class': 'CUSTOM_GPU_VF'}),
    ('resource_class', 'pgpu', {'resource_class': 'PGPU'}),
    (
        'traits',
        'b,HW_GPU_API_VULKAN,a',
        {'traits': "['CUSTOM_A', 'CUSTOM_B', 'HW_GPU_API_VULKAN']"},
    ),
]

#: an object of device_spec, the key and a part of the finding, whether an
#: entry is left
NO_EQUIVALENT: list[tuple[dict[str, Any], str | None, str, bool]] = [
    ({'remote_managed': 'yes'}, 'remote_managed', 'excluding', True),
    ({'one_time_use': 'yes'}, 'one_time_use', 'excluding', True),
    ({'physical_network': None}, 'physical_network', 'null', True),
    ({'dev_type': 'type-VF'}, 'dev_type', 'condition', True),
    ({'match': 'x'}, 'match', 'has a meaning', True),
    ({'e.group': 'x'}, 'e.group', 'left out', True),
    ({'Group': 'x'}, 'Group', 'lower case', True),
    ({'group': ''}, 'group', 'empty', True),
    ({'group': ['a']}, 'group', 'no string', True),
    ({'address': {'func': '1'}}, 'address', "no part 'func'", True),
    ({'address': {'bus': '1ff'}}, 'address', 'greater', False),
    ({'vendor_id': '-1'}, 'vendor_id', 'not hexadecimal', False),
]

#: device_spec as it is written, parts of the error
WRONG_DEVICE_SPECS: list[tuple[str, tuple[str, ...]]] = [
    ("{'vendor_id': '8086'}", ('not JSON', 'double quotes')),
    ('8086', ('neither an object nor a list',)),
    ('[["8086"]]', ('no object',)),
    ('{"vendor_id": 8086}', ('vendor_id', 'quote it')),
    ('{"vendor_id": null}', ('vendor_id', 'quote it')),
    ('{"product_id": " *"}', ('product_id', 'not hexadecimal')),
    ('{"vendor_id": "12345"}', ('greater than ffff',)),
    ('{"address": "0:0:0:0.0"}', ('more parts',)),
    ('{"address": "0000:65:20.0"}', ('greater than 1f',)),
    ('{"address": "0000:6*:00.0"}', ('not hexadecimal',)),
    ('{"address": ["0000:65:00.0"]}', ('neither a string',)),
    ('{"address": {"bus": "["}}', ('bus', 'regular expression')),
    ('{"address": {"bus": 2}}', ('bus', 'regular expression')),
    ('{"address": "*", "devname": "eth0"}', ('excludes',)),
    ('{"managed": "perhaps"}', ('managed', 'neither yes nor no')),
]

_ALIAS = {'name': 'a1', 'vendor_id': '8086', 'product_id': '0443'}

#: an alias, the term that it becomes
TERMS: list[tuple[dict[str, str], dict[str, Any]]] = [
    ({}, {'dev_type': ['type-PCI', 'type-VF']}),
    ({'device_type': 'type-PF'}, {'dev_type': 'type-PF'}),
    (
        {'device_type': 'type-VF', 'live_migratable': 'No'},
        {'dev_type': 'type-VF', 'e.live_migratable': 'false'},
    ),
    (
        {'device_type': 'type-VF', 'capability_type': 'pci'},
        {'dev_type': 'type-VF', 'e.capability_type': 'pci'},
    ),
]

#: what is wrong with aliases, parts of the error
WRONG_ALIASES: list[tuple[list[dict[str, Any]], tuple[str, ...]]] = [
    ([{'vendor_id': '8086', 'product_id': '0443'}], ('name', 'missing')),
    ([{**_ALIAS, 'name': ''}], ('name', '1 to 256')),
    ([{**_ALIAS, 'name': 5}], ('name', 'quote it')),
    ([{**_ALIAS, 'devicetype': 'type-PF'}], ("mean 'device_type'",)),
    ([{**_ALIAS, 'device_type': 'vdpa'}], ('device_type', 'type-VF')),
    ([{**_ALIAS, 'numa_policy': 'near'}], ('numa_policy', 'socket')),
    ([{**_ALIAS, 'vendor_id': '0x8086'}], ('vendor_id', 'four')),
    ([{**_ALIAS, 'live_migratable': 'so so'}], ('live_migratable',)),
    ([{'name': 'a1', 'vendor_id': '8086'}], ('product_id', 'missing')),
    ([{'name': 'a1', 'resource_class': 'x'}], ('pci_in_placement',)),
    ([_ALIAS, _ALIAS], ('device_type', 'the same')),
    (
        [{**_ALIAS, 'device_type': f'type-{kind}'} for kind in ('PF', 'VF')],
        ('device_type', 'the same'),
    ),
    (
        [
            {**_ALIAS, 'device_type': 'type-PF', 'numa_policy': policy}
            for policy in ('required', 'socket')
        ],
        ('numa_policy', 'another'),
    ),
]


def _value(text: str, option: str = '[pci] device_spec') -> nova_conf.Value:
    return nova_conf.Value('/nova.conf', option, text)


def _import(*documents: Any) -> tuple[list[Any], list[nova_conf.Finding]]:
    lines, findings = device_spec.translate(
        [_value(json.dumps(one)) for one in documents]
    )
    return [json.loads(line) for line in lines], findings


def _import_aliases(
    *documents: Any, placement: alias.Placement | None = None
) -> tuple[list[alias.Draft], list[nova_conf.Finding]]:
    return alias.translate(
        [_value(json.dumps(one), '[pci] alias') for one in documents],
        placement or alias.Placement(),
    )


class DeviceSpecTestCase(testtools.TestCase):
    """From device_spec."""

    def test_matches(self) -> None:
        for spec, match in MATCHES:
            self.assertEqual(([{'match': match}], []), _import(spec))

    def test_tags(self) -> None:
        for key, value, tags in TAGS:
            (entry,), findings = _import({**_VENDOR, key: value})
            self.assertEqual(
                (tags, []), (entry.get('extra_info', {}), findings)
            )

    def test_forms(self) -> None:
        one, other = _VENDOR, {'vendor_id': '15b3'}
        expected = [{'match': one}, {'match': other}]
        self.assertEqual((expected, []), _import(one, other))
        self.assertEqual((expected, []), _import([one, other]))
        self.assertEqual(([], []), _import([]))

    def test_no_equivalent(self) -> None:
        for spec, key, what, is_left in NO_EQUIVALENT:
            entries, (finding,) = _import({**_VENDOR, **spec})
            self.assertEqual(key, finding.key)
            self.assertIn(what, finding.what)
            self.assertIn(json.dumps({**_VENDOR, **spec}), str(finding))
            self.assertEqual((is_left, spec), (bool(entries), spec))

    def test_what_stays_with_nova_is_excluded(self) -> None:
        """A later entry must not offer it."""
        entries, _ = _import({**_VENDOR, 'remote_managed': 'true', 'x': 'y'})
        self.assertEqual([{'match': _VENDOR, 'exclude': True}], entries)

    def test_given_twice(self) -> None:
        lines, (finding,) = device_spec.translate(
            [_value('{"vendor_id": "1", "vendor_id": "2"}')]
        )
        self.assertEqual('{"match": {"vendor_id": "0002"}}', *lines)
        self.assertEqual('vendor_id', finding.key)

    def test_malformed(self) -> None:
        for text, parts in WRONG_DEVICE_SPECS:
            error = self.assertRaises(
                exception.InvalidConfiguration,
                device_spec.translate,
                [_value(text)],
            )
            for part in ('/nova.conf: [pci] device_spec = ', *parts):
                self.assertIn(part, str(error))
            self.assertIn('right would be, for example: ', str(error))

    @hypothesis.given(
        strategies.dictionaries(
            strategies.sampled_from(
                ['vendor_id', 'address', 'devname', 'managed', 'traits', 'x']
            ),
            strategies.recursive(
                strategies.none()
                | strategies.booleans()
                | strategies.floats()
                | strategies.text(max_size=12),
                lambda some: (
                    strategies.dictionaries(
                        strategies.sampled_from(['bus', 'function']), some
                    )
                    | strategies.lists(some, max_size=2)
                ),
                max_leaves=4,
            ),
        )
    )
    def test_any_document(self, spec: dict[str, Any]) -> None:
        """The agent starts with what is made of it, or it is refused."""
        try:
            lines, _ = device_spec.translate([_value(json.dumps(spec))])
        except exception.InvalidConfiguration:
            return
        pci_information.PciInformation.parse(lines)


class AliasTestCase(testtools.TestCase):
    """From alias."""

    def test_terms(self) -> None:
        for more, term in TERMS:
            (draft,), _ = _import_aliases({**_ALIAS, **more})
            ids = {'vendor_id': '8086', 'product_id': '0443'}
            self.assertEqual('a1', draft.name)
            self.assertEqual([{**ids, **term}], draft.match)
            self.assertIsNone(draft.numa_policy)

    def test_alternatives(self) -> None:
        common = {'device_type': 'type-PF', 'numa_policy': 'socket'}
        (draft,), findings = _import_aliases(
            {**_ALIAS, **common, 'name': ' a1 '},
            {**_ALIAS, **common, 'product_id': '04AB'},
        )
        self.assertEqual([], findings)
        self.assertEqual('socket', draft.numa_policy)
        self.assertEqual(
            ['0443', '04ab'], [term['product_id'] for term in draft.match]
        )

    def test_capability_type_is_said(self) -> None:
        _, (finding,) = _import_aliases({**_ALIAS, 'capability_type': 'pci'})
        self.assertEqual('capability_type', finding.key)

    def test_name_that_is_none(self) -> None:
        for name in ('a|b', '10/g', ' ', 'x' * 256):
            drafts, (finding,) = _import_aliases({**_ALIAS, 'name': name})
            self.assertEqual([], drafts)
            self.assertEqual('name', finding.key)

    def test_without_placement(self) -> None:
        """Nova ignores what would be for Placement."""
        (draft,), findings = _import_aliases(
            {**_ALIAS, 'resource_class': 'x', 'traits': 'y'}
        )
        self.assertEqual([{**TERMS[0][1], **_ids()}], draft.match)
        self.assertEqual(
            ['resource_class', 'traits'], [f.key for f in findings]
        )

    def test_with_placement(self) -> None:
        placement = alias.Placement(in_use=True)
        (draft,), findings = _import_aliases(
            {'name': 'a1', 'resource_class': 'gpu-vf', 'traits': 'b, a'},
            placement=placement,
        )
        self.assertEqual([], findings)
        (term,) = draft.match
        self.assertEqual(
            {
                'dev_type': ['type-PCI', 'type-VF'],
                'e.resource_class': 'CUSTOM_GPU_VF',
                'e.traits': '<all-in> CUSTOM_B CUSTOM__A',
            },
            term,
        )
        error = self.assertRaises(
            exception.InvalidConfiguration,
            _import_aliases,
            {**_ALIAS, 'device_type': 'type-PF'},
            {**_ALIAS, 'device_type': 'type-PF'},
            placement=placement,
        )
        self.assertIn('once only', str(error))
        _, (finding,) = _import_aliases(
            _ALIAS, placement=alias.Placement(in_use=True, classes=True)
        )
        self.assertIn('resource_class', finding.what)

    def test_malformed(self) -> None:
        for documents, parts in WRONG_ALIASES:
            error = self.assertRaises(
                exception.InvalidConfiguration, _import_aliases, *documents
            )
            for part in ('/nova.conf: [pci] alias = {', *parts):
                self.assertIn(part, str(error))
        self.assertRaises(
            exception.InvalidConfiguration, _import_aliases, [_ALIAS]
        )


def _ids() -> dict[str, str]:
    return {key: _ALIAS[key] for key in ('vendor_id', 'product_id')}


#: an entry of pci_information, the values of device_spec that it becomes
EXPORTED: list[tuple[Any, list[Any]]] = [
    ({'match': {'address': '*'}}, [{}]),
    ({'match': {'vendor_id': '????'}}, [{}]),
    ([_VENDOR, {'e.group': '10g'}], [{**_VENDOR, 'group': '10g'}]),
    (
        {'match': {'vendor_id': ['8086', '15b3']}},
        [{'vendor_id': '15b3'}, _VENDOR],
    ),
    ({'match': {'vendor_id': '808[67]'}}, [_VENDOR, {'vendor_id': '8087'}]),
    ({'match': {'address': '65:0.*'}}, [{'address': '*:65:00.*'}]),
    (
        {'match': {'address': ['0x0:65:0.0', '0000:66:00.[!1-3]']}},
        [
            {'address': '0000:65:00.0'},
            {
                'address': {
                    'domain': '0000$',
                    'bus': '66$',
                    'slot': '00$',
                    'function': '[^1-3]$',
                }
            },
        ],
    ),
    ({'match': {'address': '6?:*.*'}}, [{'address': {'bus': '6.$'}}]),
    (
        {
            'match': {
                'address': {'bus': '0A', 'slot': '[A-F].', 'function': '[2-7]'}
            }
        },
        [
            {
                'address': {
                    'bus': '0a$',
                    'slot': '(?i)[A-F].',
                    'function': '[2-7]',
                }
            }
        ],
    ),
    (
        {'match': {'devname': ['eth1', 'eth0']}},
        [{'devname': 'eth0'}, {'devname': 'eth1'}],
    ),
    ({'match': _VENDOR, 'allow_in_use': True}, [_VENDOR]),
    (
        {'match': _VENDOR, 'extra_info': {'traits': "['A', 'B']"}},
        [{**_VENDOR, 'traits': 'A,B'}],
    ),
]

#: an entry of pci_information, the key and a part of the finding, whether
#: anything is left
NOT_EXPORTED: list[tuple[dict[str, Any], str | None, str, bool]] = [
    ({'match': {'class': 'network'}}, 'class', 'no such condition', False),
    ({'match': {**_VENDOR, 'driver': 'ice'}}, 'driver', 'no such', False),
    ({'match': {'product_id': '1*'}}, 'product_id', '4096 ids', False),
    ({'match': {'product_id': {'regex': 'x'}}}, 'product_id', 'no id', False),
    ({'match': {'devname': 'eth*'}}, 'devname', 'exact values', False),
    ({'match': {'address': {'regex': '.*'}}}, 'address', 'each part', False),
    ({'match': {'address': '10000:01:00.0'}}, 'address', 'ffff', False),
    (
        {'match': {'vendor_id': '808[0-9]', 'product_id': '000[0-9]'}},
        None,
        'more than 64',
        False,
    ),
    ({'match': _VENDOR, 'exclude': True}, 'exclude', 'exceptions', False),
    (
        {'match': _VENDOR, 'extra_info': {'count': '5'}},
        'count',
        'misunderstood',
        True,
    ),
    (
        {'match': _VENDOR, 'extra_info': {'managed': 'perhaps'}},
        'managed',
        'misunderstood',
        True,
    ),
    (
        {'match': _VENDOR, 'extra_info': {'traits': 'a'}},
        'traits',
        'misunderstood',
        True,
    ),
]


def _export(
    *documents: Any,
) -> tuple[list[to_device_spec.Line], list[nova_conf.Finding]]:
    return to_device_spec.translate(
        [
            _value(json.dumps(one), '[agent] pci_information')
            for one in documents
        ]
    )


class ToDeviceSpecTestCase(testtools.TestCase):
    """To device_spec."""

    def test_entries(self) -> None:
        for entry, expected in EXPORTED:
            lines, findings = _export(entry)
            self.assertEqual([], findings)
            self.assertEqual(
                expected, [json.loads(line.text) for line in lines]
            )
            self.assertEqual({None}, {line.held_back for line in lines})

    def test_no_equivalent(self) -> None:
        for entry, key, what, is_left in NOT_EXPORTED:
            lines, (finding,) = _export(entry)
            self.assertEqual((key, is_left), (finding.key, bool(lines)))
            self.assertIn(what, finding.what)

    def test_what_an_exception_may_concern_is_held_back(self) -> None:
        lines, findings = _export(
            {'match': {'vendor_id': '10de'}},
            {'match': {'vendor_id': '8086'}, 'exclude': True},
            {'match': {'vendor_id': '15b3'}},
            {'match': {'address': '*'}},
            {'match': {'vendor_id': '8086', 'product_id': '0001'}},
        )
        self.assertEqual(
            [False, False, True, True],
            [line.held_back is not None for line in lines],
        )
        self.assertEqual(3, len(findings))

    def test_wrong_entry(self) -> None:
        error = self.assertRaises(
            exception.InvalidConfiguration, _export, {'match': {}}
        )
        self.assertIn('/nova.conf: pci_information', str(error))


_IDS = {'vendor_id': '8086', 'product_id': '0443'}

#: a term, the aliases that it becomes without their name
ALIASES: list[tuple[dict[str, Any], list[dict[str, str]]]] = [
    ({**_IDS, 'dev_type': ['type-PCI', 'type-VF']}, [_IDS]),
    ({**_IDS, 'dev_type': 'type-PF'}, [{**_IDS, 'device_type': 'type-PF'}]),
    (
        {**_IDS, 'dev_type': 'type-PF', 'product_id': '044[34]'},
        [
            {**_IDS, 'device_type': 'type-PF'},
            {**_IDS, 'device_type': 'type-PF', 'product_id': '0444'},
        ],
    ),
    (
        {
            'dev_type': 'type-VF',
            'e.resource_class': 'CUSTOM_X',
            'e.traits': '<all-in> CUSTOM_A CUSTOM_B',
            'e.live_migratable': 'true',
        },
        [
            {
                'device_type': 'type-VF',
                'resource_class': 'CUSTOM_X',
                'traits': 'CUSTOM_A,CUSTOM_B',
                'live_migratable': 'true',
            }
        ],
    ),
]

_PF = {**_IDS, 'dev_type': 'type-PF'}

#: fields of a PCI flavor, the key and a part of the finding, whether
#: anything is left
NO_ALIAS: list[tuple[dict[str, Any], str, str, bool]] = [
    ({'match': [_IDS]}, 'match', 'no type-PF and no vdpa', True),
    ({'match': [{**_PF, 'numa_node': '0'}]}, 'match', 'numa_node', False),
    ({'match': [{**_PF, 'e.group': 'x'}]}, 'match', 'e.group', False),
    ({'match': [{**_PF, 'product_id': '*'}]}, 'match', 'product_id', False),
    ({'match': [{**_PF, 'product_id': '1*'}]}, 'match', 'too many', False),
    ({'match': [{**_IDS, 'dev_type': 'vdpa'}]}, 'match', 'no vdpa', False),
    (
        {'match': [{**_IDS, 'dev_type': ['type-PF', 'type-VF']}]},
        'match',
        'one device_type',
        False,
    ),
    (
        {'match': [_PF, {**_IDS, 'dev_type': 'type-VF'}]},
        'match',
        'same device_type',
        False,
    ),
    (
        {'match': [_PF, {**_PF, 'e.resource_class': 'X'}]},
        'match',
        'one alias only',
        False,
    ),
    ({'match': [{**_PF, 'e.traits': 'a'}]}, 'match', '<all-in>', False),
    (
        {'match': [{**_PF, 'e.live_migratable': 'yes'}]},
        'match',
        'true or false',
        False,
    ),
    ({'match': [_PF], 'is_public': False}, 'is_public', 'every', True),
    ({'match': [_PF], 'vnic_type': 'direct'}, 'vnic_type', 'NICs', True),
    ({'match': [_PF], 'state': 'disabled'}, 'state', 'disabled', False),
]


def _flavor(**values: Any) -> objects.PciFlavor:
    defaults = {
        'name': 'a1',
        'vnic_type': None,
        'numa_policy': None,
        'is_public': True,
        'state': fields.PciFlavorState.ACTIVE,
    }
    return objects.PciFlavor(**{**defaults, **values})


class ToAliasTestCase(testtools.TestCase):
    """To alias."""

    def test_terms(self) -> None:
        for term, expected in ALIASES:
            (found,), findings = to_alias.translate(
                [_flavor(match=[term], numa_policy='required')]
            )
            self.assertEqual([], findings)
            common = {'name': 'a1', 'numa_policy': 'required'}
            self.assertEqual(
                [{**common, **one} for one in expected],
                [json.loads(line) for line in found.lines],
            )
            self.assertEqual('e.traits' in term, found.needs_placement)
            self.assertEqual(len(expected) > 1, found.excludes_placement)

    def test_no_equivalent(self) -> None:
        for values, key, what, is_left in NO_ALIAS:
            found, (finding,) = to_alias.translate([_flavor(**values)])
            self.assertEqual((key, is_left), (finding.key, bool(found)))
            self.assertIn(what, str(finding))
            self.assertIn("PCI flavor 'a1'", str(finding))

    def test_terms_are_left_out_one_by_one(self) -> None:
        (found,), (finding,) = to_alias.translate(
            [_flavor(match=[{'class': 'network'}, _PF])]
        )
        self.assertEqual(1, len(found.lines))
        self.assertIn('class', finding.what)

    def test_there_and_back(self) -> None:
        """What came from aliases says the same when it is imported again."""
        documents = [{**_ALIAS, **more} for more, _ in TERMS if more]
        for number, one in enumerate(documents):
            one['name'] = f'a{number}'
        drafts, _ = _import_aliases(*documents)
        found, findings = to_alias.translate(
            [_flavor(name=one.name, match=one.match) for one in drafts]
        )
        self.assertEqual([], findings)
        again, _ = _import_aliases(
            *(json.loads(line) for one in found for line in one.lines)
        )
        self.assertEqual(
            [pci_flavor.MatchExpression.parse(one.match) for one in drafts],
            [pci_flavor.MatchExpression.parse(one.match) for one in again],
        )


class PlacementNamesTestCase(testtools.TestCase):
    """Names as Nova makes them for Placement."""

    def test_resource_class(self) -> None:
        for name, expected in (
            ('VGPU', 'VGPU'),
            ('custom_x', 'CUSTOM_X'),
            ('a16-16a', 'CUSTOM_A16_16A'),
        ):
            self.assertEqual(expected, placement_names.resource_class(name))

    def test_traits(self) -> None:
        self.assertEqual(
            ['CUSTOM_BLUE', 'CUSTOM_HW_X_Y', 'HW_GPU_API_VULKAN'],
            placement_names.traits(
                'HW_GPU_API_VULKAN,blue,hw-x-y,CUSTOM_BLUE'
            ),
        )
        self.assertEqual([], placement_names.traits(''))

    def test_list_tag(self) -> None:
        tag = placement_names.list_tag(['A', 'B'])
        self.assertEqual('A,B', placement_names.from_list_tag(tag))
        for text in ('A', '[1]', "['a,b']", '[' * 300, "['']"):
            self.assertIsNone(placement_names.from_list_tag(text))
