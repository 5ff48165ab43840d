# SPDX-License-Identifier: Apache-2.0
"""Tests of finding devices that both configurations match."""

from collections.abc import Iterable

import testtools

from pci_passthrough import objects
from pci_passthrough.nova_plugin.compute import matched_twice

PF = '0000:81:00.0'
VF = '0000:81:00.1'
OTHER_VF = '0000:81:00.2'
CARD = '0000:82:00.0'


def offer(
    address: str, parent: str | None = None, by: str | None = '{"match": "x"}'
) -> objects.PciDevice:
    """Return a device that the agent offers."""
    return objects.PciDevice(
        address=address, parent_addr=parent, offered_by=by
    )


def find(
    native: Iterable[tuple[str, str | None]], *offered: objects.PciDevice
) -> dict[str, str]:
    """Find devices that are matched twice; ``native`` has one entry."""
    return matched_twice.find(
        [
            matched_twice.NativeMatch(address, parent, '{"spec": 1}')
            for address, parent in native
        ],
        {device.address: device for device in offered},
    )


class FindTest(testtools.TestCase):
    def test_different_devices(self) -> None:
        self.assertEqual({}, find([(PF, None)], offer(CARD)))
        self.assertEqual({}, find([], offer(CARD)))
        self.assertEqual({}, find([(PF, None)]))

    def test_same_device(self) -> None:
        (text,) = find([(CARD, None)], offer(CARD)).values()
        self.assertIn('{"spec": 1}', text)
        self.assertIn('{"match": "x"}', text)

    def test_unknown_entry(self) -> None:
        """An agent of the first release does not report the entry."""
        (text,) = find([(CARD, None)], offer(CARD, by=None)).values()
        self.assertIn('(not known)', text)

    def test_physical_function_and_its_virtual_ones(self) -> None:
        self.assertEqual({VF}, set(find([(PF, None)], offer(VF, PF))))
        self.assertEqual({PF}, set(find([(VF, PF)], offer(PF))))

    def test_virtual_functions_of_one_physical_function(self) -> None:
        """Both configurations may share the VFs of one PF."""
        self.assertEqual({}, find([(VF, PF)], offer(OTHER_VF, PF)))


class DescribeTest(testtools.TestCase):
    def test_one_line_for_each_pair_of_entries(self) -> None:
        text = matched_twice.describe(
            find(
                [(PF, None), (CARD, None)],
                offer(CARD, by='{"other": 1}'),
                offer(VF, PF),
                offer(OTHER_VF, PF),
            )
        )
        first, second = text.split('; 0000:82')
        self.assertIn(f'{VF}, {OTHER_VF}: [pci] device_spec', first)
        self.assertIn('{"other": 1}', second)

    def test_not_hundreds_of_addresses(self) -> None:
        addresses = [f'0000:81:{slot:02x}.0' for slot in range(10)]
        text = matched_twice.describe(
            find(
                [(address, None) for address in addresses],
                *map(offer, addresses),
            )
        )
        self.assertIn('0000:81:07.0 and 2 more: ', text)
        self.assertNotIn('0000:81:08.0', text)
