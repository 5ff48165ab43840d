# SPDX-License-Identifier: Apache-2.0
"""Tests of translating alias to PCI flavors."""

import json
from typing import Any

import testtools

from pci_passthrough import exception
from pci_passthrough import nova_conf
from pci_passthrough.nova_conf import from_alias
from pci_passthrough.specs import lint

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

#: invalid aliases, parts of the error
WRONG_ALIASES: list[tuple[list[dict[str, Any]], tuple[str, ...]]] = [
    ([{'vendor_id': '8086', 'product_id': '0443'}], ('name', 'missing')),
    ([{**_ALIAS, 'name': ''}], ('name', '1 to 256')),
    ([{**_ALIAS, 'name': 5}], ('name', 'quote it')),
    ([{**_ALIAS, 'devicetype': 'type-PF'}], ("mean 'device_type'",)),
    ([{**_ALIAS, 'Name': 'a'}], ("mean 'name'",)),
    ([{**_ALIAS, 'device_id': '0443'}], ("mean 'product_id'",)),
    ([{**_ALIAS, 'dev_type': 'type-PF'}], ("mean 'device_type'",)),
    ([{'name': 'a1'}], ('vendor_id', 'missing')),
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
        ('numa_policy', 'differs'),
    ),
]


def _translate(
    *documents: Any, placement: from_alias.PlacementUse | None = None
) -> tuple[list[from_alias.PciFlavorDraft], list[lint.Finding]]:
    return from_alias.translate(
        [
            nova_conf.OptionValue(
                '/nova.conf', '[pci] alias', json.dumps(document)
            )
            for document in documents
        ],
        placement or from_alias.PlacementUse(),
    )


class FromAliasTestCase(testtools.TestCase):
    """Translates alias to PCI flavors."""

    def test_terms(self) -> None:
        for more, term in TERMS:
            (draft,), _ = _translate({**_ALIAS, **more})
            ids = {'vendor_id': '8086', 'product_id': '0443'}
            self.assertEqual('a1', draft.name)
            self.assertEqual([{**ids, **term}], draft.match)
            self.assertIsNone(draft.numa_policy)

    def test_alternatives(self) -> None:
        common = {'device_type': 'type-PF', 'numa_policy': 'socket'}
        (draft,), findings = _translate(
            {**_ALIAS, **common, 'name': ' a1 '},
            {**_ALIAS, **common, 'product_id': '04AB'},
        )
        self.assertEqual([], findings)
        self.assertEqual('socket', draft.numa_policy)
        self.assertEqual(
            ['0443', '04ab'], [term['product_id'] for term in draft.match]
        )

    def test_capability_type_is_reported(self) -> None:
        _, (finding,) = _translate({**_ALIAS, 'capability_type': 'pci'})
        self.assertEqual('capability_type', finding.key)

    def test_invalid_name(self) -> None:
        for name in ('a|b', '10/g', ' ', 'x' * 256):
            drafts, (finding,) = _translate({**_ALIAS, 'name': name})
            self.assertEqual([], drafts)
            self.assertEqual('name', finding.key)

    def test_without_placement(self) -> None:
        """Nova ignores the keys for Placement."""
        (draft,), findings = _translate(
            {**_ALIAS, 'resource_class': 'x', 'traits': 'y'}
        )
        self.assertEqual([{**TERMS[0][1], **_ids()}], draft.match)
        self.assertEqual(
            ['resource_class', 'traits'], [f.key for f in findings]
        )

    def test_with_placement(self) -> None:
        placement = from_alias.PlacementUse(in_use=True)
        (draft,), findings = _translate(
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
            _translate,
            {**_ALIAS, 'device_type': 'type-PF'},
            {**_ALIAS, 'device_type': 'type-PF'},
            placement=placement,
        )
        self.assertIn('once only', str(error))
        _, (finding,) = _translate(
            _ALIAS,
            placement=from_alias.PlacementUse(in_use=True, classes=True),
        )
        self.assertIn('resource_class', finding.problem)

    def test_malformed(self) -> None:
        for documents, parts in WRONG_ALIASES:
            error = self.assertRaises(
                exception.InvalidConfiguration, _translate, *documents
            )
            for part in ('/nova.conf: [pci] alias = {', *parts):
                self.assertIn(part, str(error))
        self.assertRaises(exception.InvalidConfiguration, _translate, [_ALIAS])


def _ids() -> dict[str, str]:
    return {key: _ALIAS[key] for key in ('vendor_id', 'product_id')}
