# SPDX-License-Identifier: Apache-2.0
"""Interfaces of Nova's fake guests, with the devices that are behind them.

The fixture knows the device of an ``<interface type='hostdev'>``, but shows
it as no libvirt does, and forgets that of one which is plugged in. So Nova
would never find one again that it has to unplug.
"""

import re
from typing import Any

import fixtures
from nova.tests.fixtures import libvirt as fakelibvirt
from nova.virt.libvirt import driver

_AS_THE_FIXTURE_SHOWS_IT = re.compile(
    r"<source hostdev='pci_(\w+)_(\w+)_(\w+)_(\w+)'/>\s*<target [^>]*/>"
)
_AS_LIBVIRT_DOES = (
    r"<source><address type='pci' domain='0x\1' bus='0x\2' slot='0x\3'"
    r" function='0x\4'/></source>"
)


class GuestNics(fixtures.Fixture):
    """Has guests show the devices behind their interfaces.

    And nobody has to wait for an event that an interface is gone; the
    fixture unplugs it at once, and sends none.
    """

    def _setUp(self) -> None:
        describe = fakelibvirt.Domain.XMLDesc
        parse = fakelibvirt._parse_nic_info

        def describe_truly(domain: Any, flags: int) -> str:
            return _AS_THE_FIXTURE_SHOWS_IT.sub(
                _AS_LIBVIRT_DOES, describe(domain, flags)
            )

        def parse_all(element: Any) -> Any:
            found = parse(element)
            address = element.find("./[@type='hostdev']/source/address")
            if address is not None:
                parts = ('domain', 'bus', 'slot', 'function')
                found['source'] = '_'.join(
                    [
                        'pci',
                        *(address.get(p).removeprefix('0x') for p in parts),
                    ]
                )
            return found

        def do_not_wait(handler: Any, token: Any, timeout: float) -> None:
            handler.delete_waiter(token)

        for owner, name, value in (
            (fakelibvirt.Domain, 'XMLDesc', describe_truly),
            (fakelibvirt, '_parse_nic_info', parse_all),
            (driver.AsyncDeviceEventsHandler, 'wait', do_not_wait),
        ):
            self.useFixture(fixtures.MockPatchObject(owner, name, value))
