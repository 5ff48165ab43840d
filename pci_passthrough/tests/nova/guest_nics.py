# SPDX-License-Identifier: Apache-2.0
"""Shows the devices behind the interfaces of Nova's fake guests.

The fixture knows the device of an ``<interface type='hostdev'>``, but its XML
is not libvirt's, and it loses the device of an attached interface. So Nova
would not find the interface that it has to detach.
"""

import re
from typing import Any

import fixtures
from nova.tests.fixtures import libvirt as fakelibvirt
from nova.virt.libvirt import driver

_XML_OF_FIXTURE = re.compile(
    r"<source hostdev='pci_(\w+)_(\w+)_(\w+)_(\w+)'/>\s*<target [^>]*/>"
)
_XML_OF_LIBVIRT = (
    r"<source><address type='pci' domain='0x\1' bus='0x\2' slot='0x\3'"
    r" function='0x\4'/></source>"
)


class GuestNics(fixtures.Fixture):
    """Makes guests show the devices behind their interfaces.

    It also ends the wait for the event that an interface was detached: the
    fixture detaches at once, and sends no event.
    """

    def _setUp(self) -> None:
        describe = fakelibvirt.Domain.XMLDesc
        parse = fakelibvirt._parse_nic_info

        def describe_truly(domain: Any, flags: int) -> str:
            return _XML_OF_FIXTURE.sub(
                _XML_OF_LIBVIRT, describe(domain, flags)
            )

        def parse_all(element: Any) -> Any:
            nic = parse(element)
            address = element.find("./[@type='hostdev']/source/address")
            if address is not None:
                parts = ('domain', 'bus', 'slot', 'function')
                nic['source'] = '_'.join(
                    [
                        'pci',
                        *(
                            address.get(part).removeprefix('0x')
                            for part in parts
                        ),
                    ]
                )
            return nic

        def do_not_wait(handler: Any, token: Any, timeout: float) -> None:
            handler.delete_waiter(token)

        for owner, name, value in (
            (fakelibvirt.Domain, 'XMLDesc', describe_truly),
            (fakelibvirt, '_parse_nic_info', parse_all),
            (driver.AsyncDeviceEventsHandler, 'wait', do_not_wait),
        ):
            self.useFixture(fixtures.MockPatchObject(owner, name, value))
