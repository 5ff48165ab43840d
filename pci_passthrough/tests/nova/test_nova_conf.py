# SPDX-License-Identifier: Apache-2.0
"""Tests translations of PCI options with the code of Nova.

Nova's code reads the options, and must match the same devices as the
translated pci_information and PCI flavors do.
"""

from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import json
import pathlib
import random
from typing import Any

import fixtures
from nova import exception as nova_exception
from nova import objects as nova_objects
from nova import test
from nova.compute import pci_placement_translator
from nova.conf import pci as nova_pci_conf
from nova.pci import request as nova_request
from nova.pci import stats
from nova.pci import whitelist
from oslo_config import cfg

from pci_passthrough import exception
from pci_passthrough import nova_conf
from pci_passthrough import objects
from pci_passthrough.cmd import conf_files
from pci_passthrough.nova_conf import from_alias
from pci_passthrough.nova_conf import from_device_spec
from pci_passthrough.nova_conf import placement_names
from pci_passthrough.nova_conf import to_alias
from pci_passthrough.nova_conf import to_device_spec
from pci_passthrough.objects import fields
from pci_passthrough.specs import pci_flavor
from pci_passthrough.specs import pci_information

#: address, ids, type, parent, name of the interface
_HOST = (
    ('0000:65:00.0', '8086:1583', 'type-PF', None, 'eth0'),
    ('0000:65:02.0', '8086:154c', 'type-VF', '0000:65:00.0', 'eth0v0'),
    ('0000:65:02.1', '8086:154c', 'type-VF', '0000:65:00.0', None),
    ('0000:66:00.0', '15b3:1017', 'type-PF', None, 'eth1'),
    ('0000:66:00.1', '15b3:1018', 'type-VF', '0000:66:00.0', None),
    ('0000:66:00.2', '15b3:1018', 'vdpa', '0000:66:00.0', None),
    ('0000:02:01.0', '8086:1583', 'type-PCI', None, 'eth2'),
    ('0001:02:01.3', '10de:2330', 'type-PCI', None, None),
    ('0000:20:1f.7', '10de:2330', 'type-PCI', None, None),
    ('0000:0a:00.1', '8086:154c', 'type-PCI', None, None),
    ('0000:ab:00.1', '8086:154c', 'type-PF', None, None),
)
_NAMES = {name: address for address, _, _, _, name in _HOST if name}
_PFS = {address for address, _, kind, _, _ in _HOST if kind == 'type-PF'}

#: Conditions of an entry, to be combined.
_VENDORS: tuple[dict[str, Any], ...] = (
    {'vendor_id': '*'},
    {'vendor_id': '8086'},
    {'vendor_id': '0x15B3'},
)
_PRODUCTS: tuple[dict[str, Any], ...] = (
    {},
    {'product_id': '*'},
    {'product_id': '154C'},
)
_PLACES: tuple[dict[str, Any], ...] = (
    {},
    {},
    {'address': '0000:65:00.0'},
    {'address': '65:00.0'},
    {'address': '0:66:0.1'},
    {'address': '*:02:01.*'},
    {'address': ':00.1'},
    {'address': '.7'},
    {'address': {'bus': '2'}},
    {'address': {'bus': '0', 'function': '[0-2]'}},
    {'address': {'bus': '0A'}},
    {'address': {'bus': '[0-b]'}},
    {'address': {'domain': '0001', 'slot': '0[1-2]'}},
    {
        'address': {
            'domain': '0000',
            'bus': '65',
            'slot': '00',
            'function': '0',
        }
    },
    {'devname': 'eth0'},
    {'devname': 'eth2'},
    {'devname': 'gone'},
)

#: Conditions that only pci_information has, or in another form.
_OWN: tuple[dict[str, Any], ...] = (
    {'dev_type': 'type-VF'},
    {'vendor_id': '15b3'},
    {'vendor_id': ['8086', '15b3']},
    {'product_id': '15*'},
    {'product_id': '101[78]'},
    {'address': '0000:6?:00.[!0]'},
    {'address': ['0000:65:00.0', '*:20:1f.7']},
    {
        'address': {
            'domain': '0000',
            'bus': '65',
            'slot': '00',
            'function': '0',
        }
    },
    {'address': {'bus': 'A[A-B]'}},
    {'address': {'regex': '.*1'}},
    {'devname': ['eth0', 'eth2']},
    {'address': '*'},
)


def _devices() -> list[objects.PciDevice]:
    return [
        objects.PciDevice(
            address=address,
            parent_addr=parent,
            dev_type=kind,
            vendor_id=ids[:4],
            product_id=ids[5:],
            subsystem_vendor_id=None,
            subsystem_id=None,
            pci_class='020000',
            driver=None,
            numa_node=0,
            devname=name,
            extra_info={},
        )
        for address, ids, kind, parent, name in _HOST
    ]


def _values(texts: Iterable[str]) -> list[nova_conf.OptionValue]:
    return [nova_conf.OptionValue('x.conf', '[pci] x', text) for text in texts]


def _offered(lines: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return address to tags of the devices that pci_information offers."""
    information = pci_information.PciInformation.parse(lines)
    devices = _devices()
    names = {device.address: device.devname for device in devices}
    offered = {}
    for device in devices:
        entry = information.find(device, names.get(device.parent_addr or ''))
        if entry is not None and not entry.exclude:
            offered[device.address] = dict(entry.extra_info)
    return offered


def _native(lines: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return address to tags of the devices that device_spec matches."""
    specs = whitelist.Whitelist(lines)
    matched = {}
    for address, ids, _, parent, _ in _HOST:
        spec = specs.device_assignable(
            {
                'address': address,
                'vendor_id': ids[:4],
                'product_id': ids[5:],
                'parent_addr': parent,
            }
        )
        if spec is not None:
            matched[address] = dict(spec.get_tags())
    return matched


class NovaConfTest(test.NoDBTestCase):
    """Random options and devices, the same ones in each run."""

    def setUp(self) -> None:
        super().setUp()
        self.random = random.Random(20261121)
        # The two functions by which Nova reads the host.
        self.useFixture(
            fixtures.MonkeyPatch(
                'nova.pci.utils.is_physical_function',
                lambda *parts: '{}:{}:{}.{}'.format(*parts) in _PFS,
            )
        )
        self.useFixture(
            fixtures.MonkeyPatch(
                'nova.pci.utils.get_function_by_ifname',
                lambda name: (_NAMES.get(name), _NAMES.get(name) in _PFS),
            )
        )
        self.addCleanup(nova_request.get_alias_from_config.cache_clear)

    def spec(self, number: int) -> dict[str, Any]:
        return {
            **self.random.choice(_VENDORS),
            **self.random.choice(_PRODUCTS),
            **self.random.choice(_PLACES),
            'mark': str(number),
        }

    def test_device_spec_there_and_back(self) -> None:
        """All three forms match the same devices, with the same tags."""
        matched: set[str] = set()
        for _ in range(150):
            specs = [self.spec(n) for n in range(self.random.randint(1, 3))]
            before = _native([json.dumps(specs)])
            matched |= before.keys()
            lines, findings = from_device_spec.translate(
                _values([json.dumps(specs)])
            )
            marks = {tags['mark'] for tags in before.values()}
            for finding in findings:
                # Nova agrees that this object decides about no device.
                self.assertIn('offers no device', finding.problem)
                spec = json.loads(finding.where.partition(' = ')[2])
                self.assertNotIn(spec['mark'], marks, specs)
            self.assertEqual(before, _offered(lines), specs)
            back, findings = to_device_spec.translate(_values(lines))
            self.assertEqual([], findings)
            self.assertEqual(
                before, _native([line.text for line in back]), specs
            )
        self.assertEqual({device[0] for device in _HOST}, matched)

    def test_nothing_more_is_exported(self) -> None:
        """Without an equivalent fewer devices match, with a finding."""
        for _ in range(150):
            entries = [
                json.dumps(
                    {
                        'match': self.random.choice(_OWN),
                        'exclude': self.random.random() < 0.3,
                    }
                )
                for _ in range(self.random.randint(1, 3))
            ]
            offered = _offered(entries).keys()
            lines, findings = to_device_spec.translate(_values(entries))
            native = _native(
                [line.text for line in lines if line.held_back is None]
            ).keys()
            self.assertLessEqual(native, offered, entries)
            if not findings:
                self.assertEqual(native, offered, entries)

    def test_device_spec_that_nova_refuses(self) -> None:
        for text in (
            "{'vendor_id': '8086'}",
            '5',
            '[5]',
            '{"vendor_id": "12345"}',
            '{"product_id": " *"}',
            '{"address": "0:0:0:0.0"}',
            '{"address": "0000:6*:00.0"}',
            '{"address": "0000:65:00. "}',
            '{"address": {"bus": "["}}',
            '{"address": "*", "devname": "eth0"}',
            '{"managed": "perhaps"}',
        ):
            self.assertRaises(nova_exception.NovaException, _native, [text])
            self.assertRaises(
                exception.InvalidConfiguration,
                from_device_spec.translate,
                _values([text]),
            )

    def pools(self, tags: Mapping[str, str]) -> stats.PciDeviceStats:
        """Return Nova's pools of all devices, with the same tags."""
        pools = stats.PciDeviceStats(
            nova_objects.NUMATopology(cells=[]),
            dev_filter=whitelist.Whitelist([json.dumps(tags)]),
        )
        for number, device in enumerate(_devices()):
            pools.add_device(
                nova_objects.PciDevice(
                    id=number,
                    compute_node_id=1,
                    address=device.address,
                    parent_addr=device.parent_addr,
                    vendor_id=device.vendor_id,
                    product_id=device.product_id,
                    dev_type=device.dev_type,
                    numa_node=0,
                    status='available',
                    extra_info={},
                )
            )
        return pools

    def devices_for_alias(
        self, aliases: Sequence[str], tags: Mapping[str, str]
    ) -> tuple[set[str], str]:
        """Return the devices that match the alias a1, and the NUMA policy."""
        self.flags(alias=list(aliases), group='pci')
        nova_request.get_alias_from_config.cache_clear()
        (request,) = nova_request.get_pci_requests_from_flavor(
            nova_objects.Flavor(extra_specs={'pci_passthrough:alias': 'a1:1'})
        ).requests
        pools = self.pools(tags)
        left = pools._filter_pools(pools.pools, request, None, rp_uuids=[])
        return {
            device.address for pool in left or () for device in pool['devices']
        }, request.numa_policy

    def test_alias_there_and_back(self) -> None:
        matched: set[str] = set()
        for _ in range(60):
            aliases = self.aliases()
            texts = [json.dumps(entry) for entry in aliases]
            tags = self.random.choice(
                ({}, {'live_migratable': 'yes'}, {'live_migratable': 'no'})
            )
            before, policy = self.devices_for_alias(texts, tags)
            matched |= before
            (draft,), findings = from_alias.translate(
                _values(texts), from_alias.PlacementUse()
            )
            self.assertEqual([], findings)
            self.assertEqual(policy, draft.numa_policy or 'legacy')
            self.assertEqual(before, _matched(draft, tags), aliases)
            (back,), findings = to_alias.translate(
                [
                    objects.PciFlavor(
                        name=draft.name,
                        match=draft.match,
                        numa_policy=draft.numa_policy,
                        vnic_type=None,
                        is_public=True,
                        state=fields.PciFlavorState.ACTIVE,
                    )
                ]
            )
            self.assertEqual([], findings)
            self.assertEqual(
                (before, policy), self.devices_for_alias(back.lines, tags)
            )
        self.assertEqual(
            {device[0] for device in _HOST if device[2] != 'vdpa'}, matched
        )

    def aliases(self) -> list[dict[str, str]]:
        """Return random aliases with the name a1."""
        common = {'name': 'a1'}
        kind = self.random.choice((None, *from_alias.DEVICE_TYPES))
        if kind is not None:
            common['device_type'] = kind
        if self.random.random() < 0.5:
            common['numa_policy'] = self.random.choice(fields.NumaPolicy.ALL)
        migratable = self.random.choice((None, None, 'Yes', 'no'))
        if migratable is not None:
            common['live_migratable'] = migratable
        ids = sorted({device[1] for device in _HOST})
        self.random.shuffle(ids)
        number = 1 if kind is None else self.random.randint(1, 3)
        return [
            {**common, 'vendor_id': id_[:4].upper(), 'product_id': id_[5:]}
            for id_ in ids[:number]
        ]

    def test_names_of_placement(self) -> None:
        for name in ('VGPU', 'vgpu', 'gpu-vf', 'CUSTOM_X', 'custom_x', 'ä'):
            self.assertEqual(
                pci_placement_translator.get_resource_class(name, '', ''),
                placement_names.resource_class(name),
            )
        for text in ('', 'HW_GPU_API_VULKAN,x', 'a, b,A', 'custom_x,hw-y'):
            self.assertEqual(
                sorted(pci_placement_translator.get_traits(text)),
                placement_names.traits(text),
            )

    def test_files_are_read_as_nova_reads_them(self) -> None:
        folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        files = [folder / 'nova.conf', folder / '1.conf', folder / '2.conf']
        for number, file in enumerate(files):
            file.write_text(
                f'[pci]\nalias = "{{{number}"\nalias = \'{{{number}\'\n'
                f'device_spec = {{{number}a,\n  b $$}}\n'
                f'passthrough_whitelist = {{{number}c}}\n'
                f'[DEFAULT]\npci_alias = {{{number}d}}\n'
                f'pci_passthrough_whitelist = {{{number}e}}\n'
            )
        nova = cfg.ConfigOpts()
        nova_pci_conf.register_opts(nova)
        nova([], default_config_files=[str(file) for file in files])
        for option in conf_files.NOVA_OPTIONS:
            values = conf_files.read_nova([str(f) for f in files], option)
            self.assertEqual(nova.pci[option], [v.text for v in values])
            self.assertEqual(
                [str(f) for f in files for _ in range(3)],
                [v.file for v in values],
            )


def _matched(
    draft: from_alias.PciFlavorDraft, tags: Mapping[str, str]
) -> set[str]:
    """Return the addresses of the devices that a PCI flavor matches."""
    expression = pci_flavor.MatchExpression.parse(draft.match)
    spec = json.dumps({'address': '*', **tags})
    lines, _ = from_device_spec.translate(_values([spec]))
    matched = set()
    offered = _offered(lines)
    for device in _devices():
        device.extra_info = offered[device.address]
        if any(
            all(
                condition.accepts(condition.value_of(device))
                for condition in term
            )
            for term in expression.terms
        ):
            matched.add(device.address)
    return matched
