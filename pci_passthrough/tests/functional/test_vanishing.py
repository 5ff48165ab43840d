# SPDX-License-Identifier: Apache-2.0
"""Interfaces come and go at full speed while the agent looks at a host."""

from collections.abc import Callable

import fixtures
import testtools

from pci_passthrough import chroot_files
from pci_passthrough.discovery import host_facts
from pci_passthrough.discovery import in_use
from pci_passthrough.discovery import interface_reader
from pci_passthrough.discovery import read_errors
from pci_passthrough.tests.lab import network_namespace

#: With the errors of vanished objects taken for unreadable ones, about one
#: look in seventy failed.
_LOOKS = 1000
_SLOW_LOOKS = 200
_NIC = '0000:01:00.0'

_Read = Callable[
    [chroot_files.ChrootFiles, read_errors.ReadErrors],
    tuple[dict[str, host_facts.Interface], host_facts.Network],
]


def _churn(group: int) -> str:
    """Return a script that creates and deletes interfaces for ever."""
    links = ''.join(
        f'link add t{group}-{number} group {group} type veth '
        f'peer name p{group}-{number} group {group}\n'
        f'address add 10.{group}.{number}.1/24 dev t{group}-{number}\n'
        f'link set t{group}-{number} up\n'
        for number in range(16)
    )
    return (
        f"while :; do printf '{links}' | ip -batch -; "
        f'ip link del group {group}; done'
    )


class VanishingTestCase(testtools.TestCase):
    def test_interfaces(self) -> None:
        self._look(
            _LOOKS,
            lambda files, errors: (
                interface_reader.interfaces(files, errors),
                host_facts.Network(),
            ),
        )

    def test_interfaces_with_addresses(self) -> None:
        """The sources of interfaces and addresses never contradict."""
        self._look(_SLOW_LOOKS, interface_reader.interfaces_and_network)

    def _look(self, looks: int, read: _Read) -> None:
        """Check that the use of no device is ever unknown."""
        logger = self.useFixture(fixtures.FakeLogger('pci_passthrough'))
        namespace = network_namespace.NetworkNamespace()
        self.useFixture(namespace)
        for group in (1, 2):
            namespace.start(_churn(group))
        seen: set[frozenset[str]] = set()
        for _ in range(looks):
            files = chroot_files.ChrootFiles(str(namespace.host_root))
            errors = read_errors.ReadErrors(files)
            interfaces, network = read(files, errors)
            facts = host_facts.HostFacts(
                functions={_NIC: host_facts.Function(_NIC, '020000')},
                block_devices={},
                interfaces=interfaces,
                network=network,
                unreadable=tuple(errors.unreadable),
            )
            self.assertEqual({}, in_use.reasons_in_use(facts))
            seen.add(frozenset(interfaces))
        # The interfaces did change under the looks.
        self.assertGreater(len(seen), looks // 10)
        self.assertEqual('', logger.output)
