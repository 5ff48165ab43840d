# SPDX-License-Identifier: Apache-2.0
"""Tests of the verdicts that follow from one scan, or from two in doubt."""

from collections.abc import Mapping

import hypothesis
from hypothesis import strategies
import testtools

from pci_passthrough.discovery import doubt
from pci_passthrough.discovery import in_use
from pci_passthrough.discovery import scan
from pci_passthrough.objects import device as device_obj
from pci_passthrough.specs import pci_information

ONE = '0000:01:00.0'


def device(address: str) -> device_obj.PciDevice:
    return device_obj.described(
        address=address,
        vendor_id='8086',
        product_id='1592',
        pci_class='020000',
        dev_type='type-PCI',
    )


#: Verdicts about one device: offered, refused, undecided, matched by no
#: entry, absent.
_VERDICTS = 'ORUN-'


def verdicts(devices: Mapping[str, str]) -> scan.Scan:
    """Return a scan with these verdicts by address."""
    others: dict[str, str] = {}
    result = scan.Scan([], [], others, use_unknown=False)
    (entry,) = pci_information.PciInformation.parse(
        ['{"vendor_id": "8086"}']
    ).entries
    for address, verdict in sorted(devices.items()):
        item = device(address)
        if verdict == 'O':
            result.offered.append(scan.Offered(item, entry))
        elif verdict in 'RU':
            reason = (
                f'{in_use.USE_UNKNOWN}EIO' if verdict == 'U' else 'mounted'
            )
            result.refused.append(scan.Refused(item, entry, reason))
        elif verdict == 'N':
            others[address] = ''
    return result


def verdict_of(result: scan.Scan, address: str) -> str:
    """Return the verdict about a device, as one letter."""
    letters = [
        'O' for item in result.offered if item.device.address == address
    ]
    letters += [
        'U' if item.is_undecided else 'R'
        for item in result.refused
        if item.device.address == address
    ]
    letters += ['N' for other in result.others if other == address]
    return ''.join(letters) or '-'


class AgreedTestCase(testtools.TestCase):
    """A verdict changes to worse only if two scans agree."""

    def test_table(self) -> None:
        """Each row: before, first, second; the verdict, whether settled."""
        for row in (
            # The first scan missed something for a moment.
            'OUO O no', 'ORO O no', 'ONO O no',
            # The second scan did; it was made because of another device.
            'OOU O no', 'OOR O no', 'OON O no',
            # Both agree that the device is not to be given away.
            'OUU U yes', 'ORR R yes', 'OUR R yes', 'ORU U yes', 'ONR R yes',
            # Nothing was offered that could get worse.
            '-UO O no', 'RUO O no', '-OR R no', '-UU U yes', 'URR R yes',
            # A device that was unplugged is not kept.
            'OU- - yes', 'OO- - yes', 'O-O O yes', 'O-R R yes',
        ):  # fmt: skip
            with self.subTest(row):
                looks, verdict, settled = row.split()
                before, first, second = (
                    verdicts({ONE: look}) for look in looks
                )
                agreement = doubt.agreed(before, first, second)
                self.assertEqual(verdict, verdict_of(agreement.scan, ONE))
                self.assertEqual(settled == 'yes', agreement.is_settled)

    def test_doubt(self) -> None:
        for looks, doubtful in (
            ('OO', False), ('OR', True), ('ON', True), ('OU', True),
            ('RR', False), ('RO', False), ('UU', True), ('O-', False),
            ('-U', True), ('-R', False),
        ):  # fmt: skip
            with self.subTest(looks):
                before, first = (verdicts({ONE: look}) for look in looks)
                self.assertEqual(doubtful, doubt.is_doubtful(before, first))

    @hypothesis.given(
        strategies.lists(
            strategies.tuples(*[strategies.sampled_from(_VERDICTS)] * 3),
            max_size=6,
        )
    )
    def test_devices_do_not_affect_each_other(
        self, looks: list[tuple[str, str, str]]
    ) -> None:
        names = [f'0000:0{number}:00.0' for number in range(len(looks))]
        before, first, second = (
            verdicts(
                {
                    name: look[at]
                    for name, look in zip(names, looks, strict=True)
                }
            )
            for at in range(3)
        )
        together = doubt.agreed(before, first, second)
        settled = True
        for name, look in zip(names, looks, strict=True):
            alone = doubt.agreed(
                *(verdicts({name: letter}) for letter in look)
            )
            self.assertEqual(
                verdict_of(alone.scan, name), verdict_of(together.scan, name)
            )
            settled = settled and alone.is_settled
        self.assertEqual(settled, together.is_settled)

    def test_scans_no_more_than_twice(self) -> None:
        for looks, made in (('O', 1), ('RO', 2), ('RR', 2), ('UUO', 2)):
            with self.subTest(looks):
                scans = iter([verdicts({ONE: look}) for look in looks])
                doubt.scan_twice_in_doubt(
                    verdicts({ONE: 'O'}), lambda: next(scans)
                )
                self.assertEqual(len(looks) - made, len(list(scans)))
