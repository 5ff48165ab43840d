# SPDX-License-Identifier: Apache-2.0
"""Tests of finding what is probably not what the operator meant."""

import json
from typing import Any

import hypothesis
from hypothesis import strategies
import testtools

from pci_passthrough import objects
from pci_passthrough.specs import lint
from pci_passthrough.specs import pci_information

#: entries as written; the index of each covered one, and whether that is a
#: mistake
COVERED: list[tuple[list[str], dict[int, bool]]] = [
    (['{"vendor_id": "8086"}', '{"vendor_id": "10de"}'], {}),
    (['{"vendor_id": "8086"}', '{"vendor_id": "8086"}'], {1: False}),
    (['{"vendor_id": "8086"}', '{"vendor_id": "8086", "a": "b"}'], {1: True}),
    (
        [
            '{"vendor_id": "8086"}',
            '{"vendor_id": "8086", "product_id": "1889", "exclude": true}',
        ],
        {1: True},
    ),
    (
        [
            '{"vendor_id": "8086", "product_id": "1889", "exclude": true}',
            '{"vendor_id": "8086"}',
        ],
        {},
    ),
    (['{"address": "*"}', '{"class": "display", "a": "b"}'], {1: True}),
    (['{"vendor_id": "80*"}', '{"vendor_id": "8086", "a": "b"}'], {1: True}),
    (
        [
            '{"vendor_id": ["8086", "10de"]}',
            '{"vendor_id": "8086", "allow_in_use": true}',
            '{"vendor_id": ["8086", "15b3"]}',
        ],
        {1: True},
    ),
    # The exact address also matches the virtual functions elsewhere.
    (
        ['{"address": "0000:41:00.*"}', '{"address": "0000:41:00.0"}'],
        {},
    ),
    (
        [
            '{"address": "0000:41:00.0"}',
            '{"address": "0000:41:00.0", "dev_type": "type-VF", "a": "b"}',
        ],
        {1: True},
    ),
]

#: section, option and value as written; the section and option that are meant
MISPLACED: list[tuple[str, str, str, str | None]] = [
    ('pci', 'device_spec', '{}', None),
    ('PCI', 'device_spec', '{}', None),
    ('DEFAULT', 'pci_alias', '{}', None),
    ('default', 'pci_alias', '{}', '[DEFAULT] pci_alias'),
    ('Default', 'pci_alias', '{}', '[DEFAULT] pci_alias'),
    ('pci', 'pci_alias', '{}', '[DEFAULT] pci_alias'),
    ('DEFAULT', 'device_spec', '[]', '[pci] device_spec'),
    ('pcis', 'device-spec', '[]', '[pci] device_spec'),
    ('pci', 'Device_Spec', '{}', '[pci] device_spec'),
    ('pci', 'device_specs', '{}', '[pci] device_spec'),
    ('nova', 'alias', '{"name": "a"}', '[pci] alias'),
    ('nova', 'alias', 'a name', None),
    (
        'filter-scheduler',
        'pci_in_placement',
        'True',
        '[filter_scheduler] pci_in_placement',
    ),
    ('pci', 'report_in_placement', 'true', None),
]

_PLACES = {
    'device_spec': ['pci'],
    'alias': ['pci'],
    'pci_alias': ['DEFAULT'],
    'pci_in_placement': ['filter_scheduler'],
}

_IDS = strategies.sampled_from(['8086', '10de'])
_ADDRESSES = strategies.sampled_from(
    ['0000:41:00.0', '0000:41:00.1', '0000:41:01.0']
)
_NAMES = strategies.sampled_from(['eth0', 'eth1'])


def _values(
    exact: strategies.SearchStrategy[str], *globs: str
) -> strategies.SearchStrategy[Any]:
    return (
        exact
        | strategies.sampled_from(globs)
        | strategies.lists(exact, min_size=1, max_size=2)
    )


_MATCHES = (
    strategies.fixed_dictionaries(
        {},
        optional={
            'vendor_id': _values(_IDS, '*', '80*'),
            'product_id': _values(_IDS, '10??'),
            'dev_type': strategies.sampled_from(['type-VF', 'type-PF']),
        },
    )
    .flatmap(
        lambda match: (
            strategies.just(match)
            | _values(_ADDRESSES, '*', '0000:41:00.*').map(
                lambda value: {**match, 'address': value}
            )
            | _values(_NAMES, '*', 'eth*').map(
                lambda value: {**match, 'devname': value}
            )
        )
    )
    .filter(bool)
)

_DEVICES = strategies.fixed_dictionaries(
    {
        'address': _ADDRESSES,
        'vendor_id': _IDS,
        'product_id': _IDS,
        'dev_type': strategies.sampled_from(['type-VF', 'type-PF']),
        'devname': strategies.none() | _NAMES,
        'parent_addr': strategies.none() | _ADDRESSES,
    }
)


def _of(*texts: str) -> list[lint.Finding]:
    entries = pci_information.PciInformation.parse(texts).entries
    return lint.of_entries(entries, list(map(str, range(len(entries)))))


class EntriesTestCase(testtools.TestCase):
    """Finds entries of pci_information that are probably not meant."""

    def test_covered(self) -> None:
        for texts, covered in COVERED:
            findings = _of(*texts)
            mistakes = {int(item.where): item.is_mistake for item in findings}
            self.assertEqual(covered, mistakes, ' '.join(texts))
            for finding in findings:
                verb = 'excludes' if 'exclude' in texts[1] else 'offers'
                self.assertIn(f'{verb} no device: ', finding.problem)
                self.assertTrue(finding.problem.endswith(': 0'))

    @hypothesis.given(_MATCHES, _MATCHES, _DEVICES, strategies.none() | _NAMES)
    def test_a_covered_entry_never_decides(
        self,
        first: dict[str, Any],
        second: dict[str, Any],
        facts: dict[str, Any],
        parent_devname: str | None,
    ) -> None:
        information = pci_information.PciInformation.parse(
            [json.dumps({'match': match}) for match in (first, second)]
        )
        if lint.of_entries(information.entries, ['0', '1']):
            device = objects.PciDevice(**facts)
            entry = information.find(device, parent_devname)
            self.assertIn(entry, (None, information.entries[0]))
            self.assertNotEqual(1, entry.index if entry else None)

    def test_misspelt_tags(self) -> None:
        for key, near in (
            ('physnet', 'physical_network'),
            ('physical-network', 'physical_network'),
            ('trust', 'trusted'),
            ('live_migrateable', 'live_migratable'),
            ('resource-class', 'resource_class'),
        ):
            (finding,) = _of(f'{{"vendor_id": "8086", "{key}": "a"}}')
            self.assertEqual((key, True), (finding.key, finding.is_mistake))
            self.assertIn(f'did you mean {near!r}?', str(finding))
        for key in ('physical_network', 'group', 'vlan', 'network', 'name'):
            self.assertEqual([], _of(f'{{"vendor_id": "1", "{key}": "a"}}'))


class SectionsTestCase(testtools.TestCase):
    """Finds options that are not read."""

    def test_misplaced(self) -> None:
        for section, name, value, meant in MISPLACED:
            findings = lint.of_sections(
                'nova.conf', {section: {name: [value]}}, _PLACES
            )
            self.assertEqual(
                [f'nova.conf: [{section}] {name}'] * (meant is not None),
                [finding.where for finding in findings],
            )
            for finding in findings:
                self.assertIn(f'did you mean {meant}?', finding.problem)
                self.assertTrue(finding.is_mistake)
