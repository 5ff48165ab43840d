# SPDX-License-Identifier: Apache-2.0
"""A simulated host for the tests of resource types."""

import pathlib
from typing import Any

import fixtures
import testtools

from pci_passthrough import objects
from pci_passthrough import resource_types
from pci_passthrough.demo import inventory
from pci_passthrough.demo import testdriver
from pci_passthrough.discovery import libvirt_host
from pci_passthrough.specs import pci_information


class ResourceTypeTest(testtools.TestCase):
    """A test with one host, which a subclass gives its shape."""

    SHAPE: dict[str, Any] = {}

    def setUp(self) -> None:
        super().setUp()
        self.log = self.useFixture(fixtures.FakeLogger())
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.model = inventory.build_host(
            inventory.HostShape(
                'compute-1',
                **{'nics': 1, 'nvmes': 1, 'consumer_gpus': 0, **self.SHAPE},
            )
        )
        written = testdriver.write_host(self.model, self.folder)
        self.root = written.host_root
        libvirt = libvirt_host.LibvirtHost(written.uri)
        libvirt.connect()
        self.addCleanup(libvirt.close)
        self.documents = [
            document
            for document in libvirt.list_node_devices()
            if isinstance(document, str)
        ]

    def host(self, *entries: str, **changes: Any) -> resource_types.Host:
        """Return what a resource type may look at."""
        values: dict[str, Any] = {
            'name': 'compute-1',
            'root': str(self.root),
            'documents': self.documents,
            'entries': pci_information.PciInformation.parse(entries).entries,
        }
        return resource_types.Host(**{**values, **changes})

    def device(self, **facts: Any) -> objects.PciDevice:
        """Return a device as a resource type finds it."""
        return objects.device.described(**facts)
