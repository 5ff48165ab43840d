# SPDX-License-Identifier: Apache-2.0
"""Tests of translating PCI flavors to alias."""

import json
from typing import Any

import testtools

from pci_passthrough import nova_conf
from pci_passthrough import objects
from pci_passthrough.nova_conf import from_alias
from pci_passthrough.nova_conf import to_alias
from pci_passthrough.objects import fields
from pci_passthrough.specs import pci_flavor

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
    """Translates PCI flavors to alias."""

    def test_terms(self) -> None:
        for term, expected in ALIASES:
            (alias,), findings = to_alias.translate(
                [_flavor(match=[term], numa_policy='required')]
            )
            self.assertEqual([], findings)
            common = {'name': 'a1', 'numa_policy': 'required'}
            self.assertEqual(
                [{**common, **spec} for spec in expected],
                [json.loads(line) for line in alias.lines],
            )
            self.assertEqual('e.traits' in term, alias.needs_placement)
            self.assertEqual(len(expected) > 1, alias.excludes_placement)

    def test_no_equivalent(self) -> None:
        for values, key, problem, is_left in NO_ALIAS:
            aliases, (finding,) = to_alias.translate([_flavor(**values)])
            self.assertEqual((key, is_left), (finding.key, bool(aliases)))
            self.assertIn(problem, str(finding))
            self.assertIn("PCI flavor 'a1'", str(finding))

    def test_only_the_term_is_left_out(self) -> None:
        (alias,), (finding,) = to_alias.translate(
            [_flavor(match=[{'class': 'network'}, _PF])]
        )
        self.assertEqual(1, len(alias.lines))
        self.assertIn('class', finding.problem)

    def test_round_trip(self) -> None:
        """PCI flavors from aliases become equivalent aliases again."""
        documents = [
            {**_IDS, 'name': 'a1', 'device_type': 'type-PF'},
            {
                **_IDS,
                'name': 'a2',
                'device_type': 'type-VF',
                'live_migratable': 'No',
            },
        ]
        drafts = self._import(documents)
        aliases, findings = to_alias.translate(
            [_flavor(name=draft.name, match=draft.match) for draft in drafts]
        )
        self.assertEqual([], findings)
        lines = [line for alias in aliases for line in alias.lines]
        self.assertEqual(
            [_expression(draft) for draft in drafts],
            [
                _expression(draft)
                for draft in self._import([json.loads(line) for line in lines])
            ],
        )

    def _import(
        self, documents: list[dict[str, str]]
    ) -> list[from_alias.PciFlavorDraft]:
        drafts, findings = from_alias.translate(
            [
                nova_conf.OptionValue('x', '[pci] alias', json.dumps(document))
                for document in documents
            ],
            from_alias.PlacementUse(),
        )
        self.assertEqual([], findings)
        return drafts


def _expression(
    draft: from_alias.PciFlavorDraft,
) -> pci_flavor.MatchExpression:
    return pci_flavor.MatchExpression.parse(draft.match)
