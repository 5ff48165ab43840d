# SPDX-License-Identifier: Apache-2.0
"""A PCI flavor as a key of ``--nic``."""

import testtools

from pci_passthrough.osc import errors
from pci_passthrough.osc import nic


class SplitTestCase(testtools.TestCase):
    def test_none(self) -> None:
        for option in (
            'net-id=n,tag=t', 'auto', 'none', '', 'port-id=p', 'net-id=n,',
            'net-id=pci-flavor=x', 'Pci-Flavor=x', 'tag=t,,a==b',
        ):  # fmt: skip
            self.assertEqual((option, None), nic.split(option))

    def test_one(self) -> None:
        for option, found in {
            'net-id=n,pci-flavor=10g': ('net-id=n', '10g'),
            'pci-flavor=10g,net-id=n': ('net-id=n', '10g'),
            'tag=t,pci-flavor=a=b,net-name=n,a==b,': (
                'tag=t,net-name=n,a==b,',
                'a=b',
            ),
            'net-id=,pci-flavor=x y': ('net-id=', 'x y'),
        }.items():
            self.assertEqual(found, nic.split(option))

    def test_no_sense(self) -> None:
        for option, text in {
            'net-id=n,pci-flavor=': 'is empty',
            'net-id=n,pci-flavor': 'is empty',
            'net-id=n,pci-flavor=x,pci-flavor=x,pci-flavor': '3 times',
            'pci-flavor=10g,port-id=p': '--pci-flavor 10g p',
            'net-id=n,port-id=p,pci-flavor=10g': '--pci-flavor 10g p',
            'pci-flavor=10g': 'needs a network',
            'none,pci-flavor=10g': 'needs a network',
        }.items():
            error = self.assertRaises(errors.ClientError, nic.split, option)
            self.assertIn(text, str(error))
