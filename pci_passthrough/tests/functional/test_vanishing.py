# SPDX-License-Identifier: Apache-2.0
"""Interfaces come and go at full speed while the agent looks at a host."""

import fixtures
import testtools

from pci_passthrough.discovery import chroot_files
from pci_passthrough.discovery import host_facts
from pci_passthrough.discovery import in_use
from pci_passthrough.discovery import interface_reader
from pci_passthrough.discovery import read_errors
from pci_passthrough.tests.lab import network_namespace

#: With the errors of vanished objects taken for unreadable ones, about one
#: look in seventy failed.
_LOOKS = 1000
_NIC = '0000:01:00.0'


def _churn(group: int) -> str:
    """Return a script that creates and deletes interfaces for ever."""
    links = ''.join(
        f'link add t{group}-{number} group {group} type veth '
        f'peer name p{group}-{number} group {group}\n'
        for number in range(16)
    )
    return (
        f"while :; do printf '{links}' | ip -batch -; "
        f'ip link del group {group}; done'
    )


class VanishingTestCase(testtools.TestCase):
    def test_no_device_is_ever_unknown(self) -> None:
        logger = self.useFixture(fixtures.FakeLogger())
        namespace = network_namespace.NetworkNamespace()
        self.useFixture(namespace)
        for group in (1, 2):
            namespace.start(_churn(group))
        seen: set[frozenset[str]] = set()
        for _ in range(_LOOKS):
            files = chroot_files.ChrootFiles(str(namespace.host_root))
            errors = read_errors.ReadErrors(files)
            interfaces = interface_reader.interfaces(files, errors)
            facts = host_facts.HostFacts(
                functions={_NIC: host_facts.Function(_NIC, '020000')},
                block_devices={},
                interfaces=interfaces,
                unreadable=tuple(errors.unreadable),
            )
            self.assertEqual({}, in_use.reasons_in_use(facts))
            seen.add(frozenset(interfaces))
        # The interfaces did change under the looks.
        self.assertGreater(len(seen), _LOOKS // 10)
        self.assertEqual('', logger.output)
