# SPDX-License-Identifier: Apache-2.0
"""Devices that are no PCI functions, beside those that are."""

from collections.abc import Iterable
from collections.abc import Mapping
import json
from typing import Any

import fixtures
import testtools

from pci_passthrough import exception
from pci_passthrough import resource_types
from pci_passthrough.discovery import host_facts
from pci_passthrough.discovery import idle_entries
from pci_passthrough.discovery import resources
from pci_passthrough.discovery import scan
from pci_passthrough.objects import device as device_obj
from pci_passthrough.specs import pci_information

PF, VF = '0000:01:00.0', '0000:01:08.0'


class Slots(resource_types.ResourceType):
    """Three slots of a licence server, all parts of one function."""

    name = 'slot'
    refusal: str | None = None
    broken = False

    def check(self, entry: pci_information.Entry) -> None:
        if 'server' not in entry.extra_info:
            raise ValueError('names no "server"')

    def find(
        self, host: resource_types.Host
    ) -> Iterable[resource_types.Found]:
        if self.broken:
            raise OSError(5, 'Input/output error')
        for number in range(3):
            slot = device_obj.described(
                resource_type='slot',
                address=f'slot-{number}',
                serial_number=f'S{number}',
            )
            refusal = self.refusal if number == 0 else None
            yield resource_types.Found(slot, refusal, function=VF)


class PlannedSlots(Slots):
    """Makes as many slots as an entry wants."""

    heeds_count = True


def function(address: str, **facts: Any) -> device_obj.PciDevice:
    return device_obj.described(
        address=address,
        vendor_id='8086',
        product_id='1592',
        pci_class='020000',
        **{'dev_type': 'type-PCI', **facts},
    )


def slot_entry(**more: Any) -> str:
    match = {'resource_type': 'slot', **more.pop('match', {})}
    return json.dumps({'match': match, 'extra_info': {'server': 'a'}, **more})


class ResourcesTest(testtools.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.slots = Slots()
        self.devices = [
            function(PF, dev_type='type-PF'),
            function(VF, dev_type='type-VF', parent_addr=PF),
        ]
        self.functions = {
            PF: host_facts.Function(PF, iommu_group=1),
            VF: host_facts.Function(VF, iommu_group=2, physical_function=PF),
        }

    def classify(self, *entries: str, **more: Any) -> scan.Scan:
        information = pci_information.PciInformation.parse(entries)
        found = resources.find(
            {'slot': self.slots},
            'compute-1',
            '/',
            (),
            self.devices,
            information,
        )
        return scan.classify(
            self.devices,
            {},
            self.functions,
            information,
            others=found,
            **more,
        )

    def refused(self, result: scan.Scan) -> Mapping[str, str]:
        return {
            str(item.device.address): item.reason for item in result.refused
        }

    def offered(self, result: scan.Scan) -> list[str]:
        return [str(item.device.address) for item in result.offered]

    def test_nobody_is_asked_without_an_entry(self) -> None:
        self.slots.broken = True
        result = self.classify('{"vendor_id": "8086"}')
        self.assertEqual([PF, VF], self.offered(result))

    def test_a_type_that_cannot_look_now(self) -> None:
        self.slots.broken = True
        error = self.assertRaises(
            exception.Unavailable, self.classify, slot_entry()
        )
        self.assertIn('devices of type slot: [Errno 5]', str(error))

    def test_a_type_with_a_defect(self) -> None:
        self.patch(self.slots, 'find', lambda host: 1 / 0)
        error = self.assertRaises(
            exception.Unavailable, self.classify, slot_entry()
        )
        self.assertIn('type slot: division by zero', str(error))

    def test_what_is_not_its_own(self) -> None:
        log = self.useFixture(fixtures.FakeLogger())
        slot = {'resource_type': 'slot', 'serial_number': 'a'}
        self.patch(
            self.slots,
            'find',
            lambda host: [
                resource_types.Found(device_obj.described(**facts))
                for facts in (
                    {'address': PF, **slot},
                    {'address': 'a', **slot},
                    {'address': 'a', **slot},
                    {'address': 'b', **slot, 'resource_type': 'usb'},
                )
            ],
        )
        self.assertEqual(['a'], self.offered(self.classify(slot_entry())))
        for line in (
            f'Ignoring {PF} of the resource type slot: a device of type pci',
            'Ignoring a of the resource type slot: a device of type slot has',
            'Ignoring b of the resource type slot: it is of type usb',
        ):
            self.assertIn(line, log.output)

    def test_entries_as_for_functions(self) -> None:
        result = self.classify(
            slot_entry(match={'serial_number': 'S2'}, exclude=True).replace(
                '"extra_info": {"server": "a"}, ', ''
            ),
            slot_entry(handler='none'),
            handlers={'slot-1': ['clear']},
        )
        self.assertEqual(['slot-0', 'slot-1'], self.offered(result))
        self.assertEqual({PF, VF, 'slot-2'}, result.others.keys())
        device = result.offered[1].device
        self.assertEqual({'server': 'a'}, device.extra_info)
        self.assertEqual(['clear'], device.handlers)

    def test_a_refusal_counts_even_if_use_is_allowed(self) -> None:
        self.slots.refusal = 'the server is down'
        result = self.classify(slot_entry(allow_in_use=True))
        self.assertEqual(
            {'slot-0': 'the server is down'}, self.refused(result)
        )

    def test_a_handler_that_cannot_run(self) -> None:
        information = pci_information.PciInformation.parse(
            [slot_entry(), '{"vendor_id": "8086"}']
        )
        self.slots.refusal = 'broken'
        result = scan.scan(
            (),
            None,
            information,
            types={'slot': self.slots},
            obstacle_of=lambda device, entry: (
                'no opener' if device.address != 'slot-2' else None
            ),
        )
        self.assertEqual(
            {'slot-0': 'broken', 'slot-1': 'it cannot be set up: no opener'},
            self.refused(result),
        )
        self.assertEqual(['slot-2'], self.offered(result))

    def test_use_by_the_host(self) -> None:
        information = pci_information.PciInformation.parse([slot_entry()])
        found = resources.find(
            {'slot': self.slots}, 'h', '/', (), (), information
        )
        result = scan.classify(
            [], {'slot-1': 'mounted'}, {}, information, others=found
        )
        self.assertEqual({'slot-1': 'mounted'}, self.refused(result))

    def test_no_whole_function_is_given_with_its_parts(self) -> None:
        result = self.classify(slot_entry(), '{"vendor_id": "8086"}')
        self.assertEqual(
            {
                PF: f'of its virtual function {VF}, slot device slot-0 is '
                'offered',
                VF: 'its slot device slot-0 is offered',
            },
            self.refused(result),
        )

    def test_refused_parts_leave_the_function(self) -> None:
        self.slots.refusal = 'broken'
        result = self.classify(
            slot_entry(match={'serial_number': 'S0'}), '{"vendor_id": "8086"}'
        )
        self.assertEqual({'slot-0': 'broken'}, self.refused(result))

    def test_count(self) -> None:
        self.slots.refusal = 'broken'
        result = self.classify(
            slot_entry(count=1),
            json.dumps({'match': {'vendor_id': '8086'}, 'count': 1}),
        )
        self.assertEqual(['slot-1'], self.offered(result))
        self.assertEqual(
            'entry 0 offers 1 of its devices, and others have lower addresses',
            self.refused(result)['slot-2'],
        )

    def test_count_of_functions(self) -> None:
        entry = json.dumps({'match': {'vendor_id': '8086'}, 'count': 1})
        self.assertEqual([PF], self.offered(self.classify(entry)))

    def test_count_and_groups(self) -> None:
        """One of two functions of a group is none that a guest can have."""
        entry = json.dumps({'match': {'vendor_id': '8086'}, 'count': 1})
        self.devices = [function(PF), function(VF)]
        self.functions = {
            address: host_facts.Function(address, driver='ice', iommu_group=1)
            for address in (PF, VF)
        }
        refused = self.refused(self.classify(entry))
        self.assertIn('entry 0 offers 1', refused[VF])
        self.assertIn(f'{VF} (ice)', refused[PF])

    def test_a_type_that_heeds_count(self) -> None:
        self.slots = PlannedSlots()
        result = self.classify(slot_entry(count=1))
        self.assertEqual(3, len(result.offered))

    def test_idle_entries_are_compared_with_their_type(self) -> None:
        information = pci_information.PciInformation.parse(
            [
                '{"resource_type": "slot", "serial_number": "S9"}',
                '{"resource_type": "usb", "vendor_id": "1050"}',
            ]
        )
        slots = [
            item.device
            for item in Slots().find(resource_types.Host(name='', root=None))
        ]
        self.assertEqual(
            [
                'nearest is slot-0, with serial_number S0 instead of "S9"',
                'the host has no devices of type usb',
            ],
            [
                idle.reason
                for idle in idle_entries.find(
                    [*self.devices, *slots], information
                )
            ],
        )


class CheckEntriesTest(testtools.TestCase):
    def check(self, text: str) -> int:
        """Return how many entries have been checked."""
        entries = pci_information.PciInformation.parse([text]).entries
        resources.check_entries({'slot': Slots()}, entries)
        return len(entries)

    def test_entries_that_can_be_used(self) -> None:
        for text in ('{"vendor_id": "8086"}', slot_entry()):
            self.assertEqual(1, self.check(text))

    def test_an_unknown_type(self) -> None:
        error = self.assertRaises(
            exception.InvalidPciInformation,
            self.check,
            '{"resource_type": "floppy", "serial_number": "a"}',
        )
        self.assertEqual('resource_type', error.key)
        self.assertIn(
            "there is no type 'floppy'; known are: pci, slot", str(error)
        )

    def test_a_type_that_cannot_be_live_migrated(self) -> None:
        error = self.assertRaises(
            exception.InvalidPciInformation,
            self.check,
            slot_entry(extra_info={'server': 'a', 'live_migratable': 'true'}),
        )
        self.assertEqual('live_migratable', error.key)
        self.assertIn('type slot cannot be live-migrated', str(error))

    def test_what_the_type_itself_wants(self) -> None:
        error = self.assertRaises(
            exception.InvalidPciInformation,
            self.check,
            '{"resource_type": "slot", "serial_number": "S1"}',
        )
        self.assertIn('names no "server"', str(error))
