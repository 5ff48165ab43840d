# SPDX-License-Identifier: Apache-2.0
"""Tests of the decision which functions no guest can have."""

from collections.abc import Collection
from collections.abc import Mapping
from typing import Any

import hypothesis
from hypothesis import strategies
import testtools

from pci_passthrough.discovery import deliverable
from pci_passthrough.discovery import host_facts
from pci_passthrough.discovery import node_device
from pci_passthrough.objects import device as device_obj
from pci_passthrough.specs import pci_information
from pci_passthrough.tests.unit.discovery import test_scan

ONE, TWO, THREE = (f'0000:0{number}:00.0' for number in range(1, 4))

_NO_GROUP = (
    'it is in no IOMMU group: the IOMMU is off, or this device has none'
)
_MEDIATED = 'it has live mediated devices (mdev)'


def _entry(text: str) -> pci_information.Entry:
    return pci_information.PciInformation.parse([text]).entries[0]


_BY_ID = _entry('{"vendor_id": "8086"}')


def _function(
    address: str, driver: str | None = 'vfio-pci', **facts: Any
) -> host_facts.Function:
    facts.setdefault('iommu_group', 1)
    return host_facts.Function(address, driver=driver, **facts)


def _reasons(
    functions: Collection[host_facts.Function],
    matched: Collection[str] = (ONE,),
    used: Collection[str] = (),
    entry: pci_information.Entry = _BY_ID,
    *,
    sysfs_is_read: bool = True,
    **properties: Any,
) -> dict[str, str]:
    return deliverable.reasons_undeliverable(
        {
            address: (test_scan.device(address, **properties), entry)
            for address in matched
        },
        used,
        {function.address: function for function in functions},
        sysfs_is_read=sysfs_is_read,
    )


class FunctionTestCase(testtools.TestCase):
    """Reasons that are properties of one function."""

    def check(self, reason: str | None, **facts: Any) -> None:
        expected = {} if reason is None else {ONE: reason}
        self.assertEqual(expected, _reasons([_function(ONE, **facts)]))

    def test_facts(self) -> None:
        self.check(None)
        self.check(None, driver='ice')
        self.check(None, iommu_group=0)
        self.check(_NO_GROUP, iommu_group=None)
        self.check(_MEDIATED, has_mediated_devices=True)
        self.check(None, supports_mediated_devices=True)

    def test_iommu_without_sysfs(self) -> None:
        function = _function(ONE, iommu_group=None)
        self.assertEqual({}, _reasons([function], sysfs_is_read=False))
        self.assertEqual({}, _reasons([], sysfs_is_read=False))

    def test_without_facts(self) -> None:
        self.assertEqual({ONE: _NO_GROUP}, _reasons([]))

    def test_vgpu_type(self) -> None:
        for reason, facts in (
            (None, {'vgpu_type': '558'}),
            (None, {'vgpu_type': '558', 'supports_mediated_devices': True}),
            (None, {}),
            (
                'it is a virtual function without a vGPU type',
                {'vgpu_type': '0'},
            ),
            (
                'it is a virtual function for mediated devices (mdev), and '
                'does not work in a guest itself',
                {'supports_mediated_devices': True},
            ),
        ):
            self.check(reason, physical_function=TWO, **facts)
        self.check(None, vgpu_type='0')

    def test_virtual_function_with_mediated_devices(self) -> None:
        functions = (
            _function(ONE),
            _function(
                TWO,
                iommu_group=2,
                physical_function=ONE,
                has_mediated_devices=True,
            ),
        )
        self.assertEqual(
            {
                ONE: f'its virtual function {TWO} has live mediated devices '
                '(mdev)',
                TWO: _MEDIATED,
            },
            _reasons(functions, (ONE, TWO)),
        )

    def test_domain(self) -> None:
        for address, reason in (
            ('ffff:01:00.0', None),
            (
                '10000:01:00.0',
                'Nova cannot address its PCI domain 10000, which is greater '
                'than ffff (a device behind Intel VMD)',
            ),
        ):
            for sysfs_is_read in (True, False):
                reasons = _reasons(
                    [_function(address)],
                    (address,),
                    sysfs_is_read=sysfs_is_read,
                )
                self.assertEqual(reason, reasons.get(address))


class VgaTestCase(testtools.TestCase):
    """Boot VGA devices and those of BMCs, which an entry must name."""

    def check(
        self, kind: str | None, entry: str, boot_vga: bool, **properties: Any
    ) -> None:
        reason = (
            f'it is {kind}, which an entry must name, for example by '
            'vendor_id and product_id'
        )
        self.assertEqual(
            {} if kind is None else {ONE: reason},
            _reasons(
                [_function(ONE, boot_vga=boot_vga)],
                entry=_entry(entry),
                pci_class='030000',
                **properties,
            ),
        )

    def test_ids(self) -> None:
        for vendor_id, product_id, is_bmc in (
            ('1a03', '2000', True),
            ('1a03', '2010', True),
            ('102b', '0538', True),
            # A Matrox G200 graphics card.
            ('102b', '0520', False),
            ('19e5', '1711', True),
            ('19e5', 'd802', False),
            ('10de', '2230', False),
        ):
            self.check(
                'the VGA device of a BMC' if is_bmc else None,
                '{"class": "display"}',
                False,
                vendor_id=vendor_id,
                product_id=product_id,
            )

    def test_other_class(self) -> None:
        self.assertEqual(
            {},
            _reasons(
                [_function(ONE)],
                entry=_entry('{"class": "bridge"}'),
                vendor_id='1a03',
                pci_class='068000',
            ),
        )

    def test_entries(self) -> None:
        for entry, names_it in (
            ('{"class": "display"}', False),
            ('{"class": "0300", "dev_type": "type-PCI"}', False),
            ('{"class": "display", "numa_node": 0, "tag": "x"}', False),
            ('{"address": "*"}', False),
            ('{"match": {"address": {"bus": ".*"}}}', False),
            ('{"vendor_id": "*"}', False),
            ('{"match": {"driver": {"regex": ".*"}}}', False),
            ('{"class": "display", "vendor_id": "10de"}', True),
            ('{"product_id": "2230"}', True),
            ('{"subsystem_id": "0000"}', True),
            ('{"driver": "nouveau"}', True),
            ('{"address": "01:*.*"}', True),
            ('{"match": {"address": {"bus": "01"}}}', True),
        ):
            self.check(
                None if names_it else 'the boot VGA device', entry, True
            )


class GroupTestCase(testtools.TestCase):
    """An IOMMU group is given to a guest as a whole."""

    def check(
        self,
        holders: str | None,
        *others: host_facts.Function,
        matched: Collection[str] = (ONE,),
        used: Collection[str] = (),
    ) -> None:
        """Check the reason of ONE, which is bound to vfio-pci."""
        reason = (
            'other functions of its IOMMU group are bound to drivers of '
            f'the host and not offered: {holders}'
        )
        reasons = _reasons([_function(ONE), *others], matched, used)
        self.assertEqual(None if holders is None else reason, reasons.get(ONE))

    def test_drivers(self) -> None:
        for driver in (None, 'vfio-pci', 'pci-stub', 'mlx5_vfio_pci'):
            self.check(None, _function(TWO, driver))
        self.check(
            f'{TWO} (igb), {THREE} (snd_hda_intel)',
            _function(THREE, 'snd_hda_intel'),
            _function(TWO, 'igb'),
        )
        self.check(None, _function(TWO, 'igb', iommu_group=2))

    def test_bridges(self) -> None:
        for pci_class in ('060400', '060401', '060700', '060940'):
            bridge = _function(TWO, 'pcieport', pci_class=pci_class)
            self.check(None, bridge)
        bridge = _function(
            TWO, 'odd', pci_class='068000', has_secondary_bus=True
        )
        self.check(None, bridge)
        # An NVSwitch, an ISA bridge, and a class that is unreadable.
        for other_class in ('068000', '060100', None):
            self.check(
                f'{TWO} (odd)', _function(TWO, 'odd', pci_class=other_class)
            )

    def test_offered_member(self) -> None:
        self.check(None, _function(TWO, 'igb'), matched=(ONE, TWO))

    def test_member_in_use(self) -> None:
        two = _function(TWO, 'igb')
        self.check(f'{TWO} (igb)', two, matched=(ONE, TWO), used=(TWO,))
        reasons = _reasons([_function(ONE), two], (ONE, TWO), (TWO,))
        self.assertEqual([ONE], list(reasons))

    def test_member_that_is_refused(self) -> None:
        for driver, holders in (('nvidia', f'{TWO} (nvidia)'), (None, None)):
            two = _function(TWO, driver, has_mediated_devices=True)
            self.check(holders, two, matched=(ONE, TWO))

    @hypothesis.given(strategies.data())
    def test_equals_repeated_refusals(
        self, data: strategies.DataObject
    ) -> None:
        addresses = [f'0000:01:00.{number}' for number in range(6)]
        some = strategies.sets(strategies.sampled_from(addresses))
        functions = {
            address: _function(
                address,
                data.draw(strategies.sampled_from((None, 'vfio-pci', 'igb'))),
                iommu_group=data.draw(strategies.integers(0, 2)),
                pci_class=data.draw(
                    strategies.sampled_from(('060400', '020000', '068000'))
                ),
                has_mediated_devices=data.draw(strategies.booleans()),
            )
            for address in addresses
        }
        matched = data.draw(some)
        used = data.draw(some) & matched
        reasons = _reasons(functions.values(), sorted(matched), used)
        self.assertEqual(
            _offered(functions, matched - used),
            matched - used - reasons.keys(),
        )
        self.assertLessEqual(reasons.keys(), matched)


def _offered(
    functions: Mapping[str, host_facts.Function], candidates: Collection[str]
) -> set[str]:
    """Return the devices that remain after one refusal at a time."""
    offered = {
        address
        for address in candidates
        if not functions[address].has_mediated_devices
    }

    def has_holder(address: str) -> bool:
        return any(
            other.driver == 'igb'
            and other.pci_class != '060400'
            and other.iommu_group == functions[address].iommu_group
            and other.address not in offered
            for other in functions.values()
        )

    while True:
        refused = next(filter(has_holder, sorted(offered)), None)
        if refused is None:
            return offered
        offered.remove(refused)


class FunctionsOfTestCase(testtools.TestCase):
    """Facts of libvirt and sysfs together."""

    def of(
        self,
        device: device_obj.PciDevice,
        *in_sysfs: host_facts.Function,
        mediated: frozenset[str] = frozenset(),
    ) -> host_facts.Function:
        return deliverable.functions_of(
            node_device.Listing([device], mediated),
            {function.address: function for function in in_sysfs},
        )[ONE]

    def test_libvirt_only(self) -> None:
        self.assertEqual(
            host_facts.Function(
                ONE,
                pci_class='020000',
                driver='iavf',
                physical_function=TWO,
                iommu_group=7,
            ),
            self.of(
                test_scan.device(
                    ONE, driver='iavf', parent_addr=TWO, iommu_group=7
                )
            ),
        )

    def test_interface_without_driver(self) -> None:
        device = test_scan.device(ONE, driver=None, devname='eno1')
        self.assertEqual('the driver of eno1', self.of(device).driver)
        device = test_scan.device(ONE, driver=None, devname=None)
        self.assertIsNone(self.of(device).driver)

    def test_sysfs_precedes(self) -> None:
        device = test_scan.device(ONE, driver='ice', iommu_group=7)
        self.assertEqual(
            _function(ONE, 'vfio-pci', iommu_group=8),
            self.of(device, _function(ONE, 'vfio-pci', iommu_group=8)),
        )
        self.assertEqual(
            7, self.of(device, _function(ONE, iommu_group=None)).iommu_group
        )

    def test_mediated(self) -> None:
        device = test_scan.device(ONE)
        for in_sysfs in ((), (_function(ONE),)):
            function = self.of(device, *in_sysfs, mediated=frozenset({ONE}))
            self.assertTrue(function.has_mediated_devices)
