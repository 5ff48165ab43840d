# SPDX-License-Identifier: Apache-2.0
"""Tests of translating device_spec to pci_information."""

import json
from typing import Any

import hypothesis
from hypothesis import strategies
import testtools

from pci_passthrough import exception
from pci_passthrough import nova_conf
from pci_passthrough.nova_conf import from_device_spec
from pci_passthrough.specs import lint
from pci_passthrough.specs import pci_information

_VENDOR = {'vendor_id': '8086'}

#: an object of device_spec, the match that it becomes
MATCHES: list[tuple[dict[str, Any], dict[str, Any]]] = [
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
    ({'match': 'x'}, 'match', 'is reserved', True),
    ({'e.group': 'x'}, 'e.group', 'left out', True),
    ({'Group': 'x'}, 'Group', 'lower case', True),
    ({'group': ''}, 'group', 'empty', True),
    ({'group': ['a']}, 'group', 'no string', True),
    ({'Trusted': 'x'}, 'Trusted', "did you mean 'trusted'", True),
    ({'physnet': 'x'}, 'physnet', "mean 'physical_network'", True),
    ({'address': {'bus': '1ff'}}, 'address', 'greater', False),
    ({'vendor_id': '-1'}, 'vendor_id', 'not hexadecimal', False),
]

#: an object of device_spec, the key and a part of the finding: more devices
#: match in Nova than is surely meant
TOO_WIDE: list[tuple[dict[str, Any], str | None, str]] = [
    ({}, None, 'every device of the host'),
    ({'physical_network': 'default'}, None, 'every device of the host'),
    ({'address': {}, 'devname': ''}, None, 'every device of the host'),
    ({**_VENDOR, 'device_id': '26b9'}, 'device_id', "mean 'product_id'"),
    ({**_VENDOR, 'dev_id': '26b9'}, 'dev_id', "mean 'product_id'"),
    ({**_VENDOR, 'product': '26b9'}, 'product', "mean 'product_id'"),
    ({**_VENDOR, 'Product_ID': '26b9'}, 'Product_ID', "mean 'product_id'"),
    (
        {**_VENDOR, 'product_id': '*', 'productid': '26b9'},
        'productid',
        "mean 'product_id'",
    ),
    ({'product_id': '1889', 'vendorid': '8086'}, 'vendorid', "'vendor_id'"),
    ({**_VENDOR, 'pci_address': '1:2.3'}, 'pci_address', "mean 'address'"),
    ({**_VENDOR, 'dev_name': 'eth0'}, 'dev_name', "mean 'devname'"),
    ({**_VENDOR, 'dev_type': 'type-VF'}, 'dev_type', 'every dev_type match'),
    ({**_VENDOR, 'device_type': 'type-VF'}, 'device_type', "mean 'dev_type'"),
    ({**_VENDOR, 'class': '02'}, 'class', 'every class match'),
    (
        {'address': {'bus': '02', 'func': '1'}},
        'address',
        "no part 'func', so Nova ignores it",
    ),
]

#: keys that are tags, although they resemble a condition
TAGS_ALL_THE_SAME: list[dict[str, Any]] = [
    {**_VENDOR, 'vendor': 'Intel'},
    {**_VENDOR, 'type': 'fast'},
    {**_VENDOR, 'rate_class': 'gold'},
    {**_VENDOR, 'name': 'a'},
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
    ('{"address": "*", "devname": "eth0"}', ('exclude each other',)),
    ('{"managed": "perhaps"}', ('managed', 'neither yes nor no')),
]


def _value(text: str) -> nova_conf.OptionValue:
    return nova_conf.OptionValue('/nova.conf', '[pci] device_spec', text)


def _translate(*documents: Any) -> tuple[list[Any], list[lint.Finding]]:
    lines, findings = from_device_spec.translate(
        [_value(json.dumps(document)) for document in documents]
    )
    return [json.loads(line) for line in lines], findings


class FromDeviceSpecTestCase(testtools.TestCase):
    """Translates device_spec to pci_information."""

    def test_matches(self) -> None:
        for spec, match in MATCHES:
            self.assertEqual(([{'match': match}], []), _translate(spec))

    def test_tags(self) -> None:
        for key, value, tags in TAGS:
            (entry,), findings = _translate({**_VENDOR, key: value})
            self.assertEqual(
                (tags, []), (entry.get('extra_info', {}), findings)
            )

    def test_forms(self) -> None:
        other = {'vendor_id': '15b3'}
        expected = [{'match': _VENDOR}, {'match': other}]
        self.assertEqual((expected, []), _translate(_VENDOR, other))
        self.assertEqual((expected, []), _translate([_VENDOR, other]))
        self.assertEqual(([], []), _translate([]))

    def test_no_equivalent(self) -> None:
        for spec, key, problem, is_left in NO_EQUIVALENT:
            entries, (finding,) = _translate({**_VENDOR, **spec})
            self.assertEqual(key, finding.key)
            self.assertIn(problem, finding.problem)
            self.assertIn(json.dumps({**_VENDOR, **spec}), str(finding))
            self.assertEqual((is_left, spec), (bool(entries), spec))

    def test_too_wide(self) -> None:
        for spec, key, problem in TOO_WIDE:
            entries, (finding,) = _translate(spec)
            self.assertEqual(([], key), (entries, finding.key))
            self.assertIn(problem, finding.problem + finding.advice)
            self.assertTrue(finding.is_mistake)
            # The devices must not be offered by a later object either.
            ((entry,), _) = _translate({**spec, 'remote_managed': 'yes'})
            self.assertTrue(entry['exclude'])

    def test_tags_that_resemble_a_condition(self) -> None:
        for spec in TAGS_ALL_THE_SAME:
            (entry,), findings = _translate(spec)
            self.assertEqual([], findings)
            self.assertEqual(_VENDOR | entry['extra_info'], spec)

    def test_covered_by_an_earlier_object(self) -> None:
        narrow = {**_VENDOR, 'product_id': '1889', 'trusted': 'true'}
        entries, (finding,) = _translate([_VENDOR, narrow])
        self.assertEqual(2, len(entries))
        self.assertTrue(finding.is_mistake)
        self.assertIn(json.dumps(narrow), finding.where)
        self.assertIn(json.dumps(_VENDOR), finding.problem)
        self.assertEqual([], _translate([narrow, _VENDOR])[1])

    def test_unsupported_devices_are_excluded(self) -> None:
        """A later entry must not offer the devices."""
        entries, _ = _translate(
            {**_VENDOR, 'remote_managed': 'true', 'x': 'y'}
        )
        self.assertEqual([{'match': _VENDOR, 'exclude': True}], entries)

    def test_given_twice(self) -> None:
        lines, (finding,) = from_device_spec.translate(
            [_value('{"vendor_id": "1", "vendor_id": "2"}')]
        )
        self.assertEqual('{"match": {"vendor_id": "0002"}}', *lines)
        self.assertEqual('vendor_id', finding.key)

    def test_malformed(self) -> None:
        for text, parts in WRONG_DEVICE_SPECS:
            error = self.assertRaises(
                exception.InvalidConfiguration,
                from_device_spec.translate,
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
        """Each result is valid pci_information, or the document is refused."""
        try:
            lines, _ = from_device_spec.translate([_value(json.dumps(spec))])
        except exception.InvalidConfiguration:
            return
        pci_information.PciInformation.parse(lines)
