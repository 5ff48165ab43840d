# SPDX-License-Identifier: Apache-2.0
"""Mediated devices: which are planned, and how a guest gets one."""

import json
from typing import Any
from xml.etree import ElementTree

from pci_passthrough import resource_types
from pci_passthrough.demo import mediated
from pci_passthrough.demo import tree as tree_module
from pci_passthrough.resource_types import mdev
from pci_passthrough.specs import pci_information
from pci_passthrough.tests.unit.resource_types import base

ALIEN = '11111111-2222-3333-4444-555555555555'


def entry(kind: str | None = 'nvidia-558', **more: Any) -> str:
    match = {'resource_type': 'mdev', **more.pop('match', {})}
    document = {'match': match, **more}
    return json.dumps(document if kind is None else {**document, 'type': kind})


class MdevTest(base.ResourceTypeTest):
    """A host with two functions that make mediated devices."""

    SHAPE = {'vgpu_cards': 2, 'gpus': 1}

    def setUp(self) -> None:
        super().setUp()
        self.first, self.second = sorted(
            address
            for address, device in self.model.devices.items()
            if device.model.mediated_types
        )
        self.functions = [
            self.device(
                address=address,
                vendor_id=f'{device.model.vendor_id:04x}',
                product_id=f'{device.model.product_id:04x}',
                subsystem_vendor_id=f'{device.model.vendor_id:04x}',
                subsystem_id=f'{device.model.subsystem_id:04x}',
                pci_class=f'{device.model.class_code:06x}',
                dev_type='type-PCI',
                driver=device.driver,
                numa_node=device.numa_node,
                serial_number='A1',
            )
            for address, device in sorted(self.model.devices.items())
        ]

    def make(self, kind: str, identifier: str, address: str = '') -> None:
        """Let the kernel make a device."""
        device = self.model.devices[address or self.first]
        mediated.create(self.model, device, kind, identifier)
        tree = tree_module.Tree()
        mediated.add_counts(tree, self.model, device)
        mediated.add_device(tree, self.model, device, identifier)
        tree.write(self.root / 'sys')

    def find(
        self, *entries: str, **changes: Any
    ) -> list[resource_types.Found]:
        host = self.host(*entries, functions=self.functions, **changes)
        return list(mdev.MediatedDevices().find(host))

    def planned(
        self, *entries: str, **changes: Any
    ) -> dict[str, list[str | None]]:
        """Return the refusals of the planned devices by their function."""
        planned: dict[str, list[str | None]] = {}
        for item in self.find(*entries, **changes):
            parent = str(item.device.parent_addr)
            planned.setdefault(parent, []).append(item.refusal)
        return planned


class FindTest(MdevTest):
    def test_count_on_each_function(self) -> None:
        self.assertEqual(
            {self.first: [None, None], self.second: [None, None]},
            self.planned(entry(count=2)),
        )

    def test_as_many_as_the_hardware_makes(self) -> None:
        self.assertEqual(
            {self.first: [None] * 4, self.second: [None] * 4},
            self.planned(entry()),
        )

    def test_facts_are_those_of_the_function(self) -> None:
        item = self.find(entry())[0]
        model = self.model.devices[self.first].model
        self.assertEqual(
            self.device(
                resource_type='mdev',
                address=mdev.uuid_of('compute-1', self.first, 'nvidia-558', 0),
                parent_addr=self.first,
                vendor_id='10de',
                product_id='25b6',
                subsystem_vendor_id='10de',
                subsystem_id=f'{model.subsystem_id:04x}',
                pci_class='030200',
                driver='nvidia',
                numa_node=0,
            ).reported(),
            item.device.reported(),
        )

    def test_the_first_entry_that_matches_the_function(self) -> None:
        for match in (
            {'address': self.second},
            {'numa_node': '1'},
            {'parent_addr': f'{self.second[:-1]}*'},
        ):
            with self.subTest(match):
                self.assertEqual(
                    {self.first: [None] * 4, self.second: [None]},
                    self.planned(
                        entry('nvidia-559', count=1, match=match), entry()
                    ),
                )
        self.assertEqual(
            {self.first: [None] * 4},
            self.planned(
                entry(None, match={'address': self.second}, exclude=True),
                entry(),
            ),
        )

    def test_a_device_stays_the_same(self) -> None:
        """The same UUIDs after a start, whatever exists then."""
        before = {item.device.address for item in self.find(entry())}
        last = sorted(before)[-1]
        parent = next(
            str(item.device.parent_addr)
            for item in self.find(entry())
            if item.device.address == last
        )
        self.make('nvidia-558', last, parent)
        found = self.find(entry())
        self.assertEqual(before, {item.device.address for item in found})
        self.assertEqual({None}, {item.refusal for item in found})

    def test_an_existing_device_counts_before_a_missing_one(self) -> None:
        uuids = [
            mdev.uuid_of('compute-1', self.first, 'nvidia-558', index)
            for index in range(6)
        ]
        for identifier in uuids[2:6]:
            self.make('nvidia-558', identifier)
        found = [
            item.device.address
            for item in self.find(entry())
            if item.device.parent_addr == self.first
        ]
        self.assertEqual(uuids[2:6], found)

    def test_more_than_the_function_can_make(self) -> None:
        reason = f'{self.first} can make no more of type nvidia-559'
        self.assertEqual(
            [None, None, reason, reason],
            self.planned(entry('nvidia-559', count=4))[self.first],
        )

    def test_nothing_can_be_made_now(self) -> None:
        other = mdev.uuid_of('compute-1', self.first, 'nvidia-559', 0)
        self.make('nvidia-559', other)
        self.assertEqual(
            [f'{self.first} can make none of type nvidia-558 now'],
            self.planned(entry())[self.first],
        )

    def test_a_type_that_the_function_does_not_make(self) -> None:
        reason = (
            f'{self.first} makes no nvidia-1; its types are: nvidia-558 '
            '(NVIDIA A16-4Q), nvidia-559 (NVIDIA A16-8Q)'
        )
        for count, refusals in ((2, [reason] * 2), (None, [reason])):
            more = {} if count is None else {'count': count}
            self.assertEqual(
                refusals, self.planned(entry('nvidia-1', **more))[self.first]
            )

    def test_a_function_that_somebody_else_uses(self) -> None:
        self.make('nvidia-558', ALIEN)
        [reason] = set(self.planned(entry())[self.first])
        self.assertIn(
            f'{self.first} has the mediated device {ALIEN} of type '
            'nvidia-558, which is not one of this agent',
            str(reason),
        )
        self.assertEqual([None] * 4, self.planned(entry())[self.second])

    def test_a_host_elsewhere_plans_nothing(self) -> None:
        self.assertEqual({}, self.planned(entry(), root=None))

    def test_leftovers(self) -> None:
        planned = [item.device for item in self.find(entry(count=1))]
        identifiers = [
            mdev.uuid_of('compute-1', self.first, 'nvidia-558', index)
            for index in range(2)
        ]
        for identifier in (*identifiers, ALIEN):
            self.make('nvidia-558', identifier)
        host = self.host(functions=self.functions)
        [leftover] = mdev.MediatedDevices().leftovers(host, planned)
        self.assertEqual(
            (identifiers[1], self.first, {'type': 'nvidia-558'}),
            (leftover.address, leftover.parent_addr, leftover.extra_info),
        )
        self.assertEqual(
            [],
            list(mdev.MediatedDevices().leftovers(self.host(root=None), [])),
        )


class CheckTest(base.ResourceTypeTest):
    def check(self, text: str) -> None:
        [parsed] = pci_information.PciInformation.parse([text]).entries
        mdev.MediatedDevices().check(parsed)

    def test_the_type_is_needed(self) -> None:
        for kind, reason in (
            (None, 'names no "type", the directory below'),
            ('../x', "'../x' is no type of mediated devices"),
        ):
            error = self.assertRaises(
                ValueError,
                self.check,
                entry(kind, match={'vendor_id': '10de'}),
            )
            self.assertIn(reason, str(error))


class GuestDeviceTest(MdevTest):
    def setUp(self) -> None:
        super().setUp()
        self.planned_device = self.find(entry())[0].device.replace(
            extra_info={'type': 'nvidia-558'}
        )

    def refusal(self) -> str:
        error = self.assertRaises(
            resource_types.ResourceTypeError,
            mdev.MediatedDevices().guest_device,
            self.planned_device,
            str(self.root),
        )
        return str(error)

    def test_an_existing_device(self) -> None:
        identifier = str(self.planned_device.address)
        self.make('nvidia-558', identifier)
        text = mdev.MediatedDevices().guest_device(
            self.planned_device, str(self.root)
        )
        element = ElementTree.fromstring(str(text))  # noqa: S314
        self.assertEqual(
            ('mdev', 'vfio-pci', identifier),
            (
                element.get('type'),
                element.get('model'),
                element[0][0].get('uuid'),
            ),
        )
        [node] = mdev.MediatedDevices().nodes(
            self.planned_device, str(self.root)
        )
        group = self.model.mediated_groups[identifier]
        self.assertEqual(f'/dev/vfio/{group}', node)

    def test_a_missing_device(self) -> None:
        self.assertIn('of type nvidia-558 on', self.refusal())
        self.assertIn('does not exist', self.refusal())
        self.assertEqual(
            (),
            mdev.MediatedDevices().nodes(self.planned_device, str(self.root)),
        )

    def test_a_device_of_another_type(self) -> None:
        self.make('nvidia-559', str(self.planned_device.address))
        self.assertIn('is of type nvidia-559, not nvidia-558', self.refusal())
