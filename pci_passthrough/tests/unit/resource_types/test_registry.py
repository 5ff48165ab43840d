# SPDX-License-Identifier: Apache-2.0
"""Resource types of this project and of other packages."""

import pathlib
import sys

import fixtures
import testtools

from pci_passthrough.resource_types import registry

_MODULE = """
from pci_passthrough import resource_types

class Slots(resource_types.ResourceType):
    name = 'license-slot'

    def find(self, host):
        return []

class Pci(Slots):
    name = 'pci'

not_a_type = 'text'
"""

_ENTRY_POINTS = """[pci_passthrough.resource_types]
license-slot = licensed_slots:Slots
other-name = licensed_slots:Slots
pci = licensed_slots:Pci
text = licensed_slots:not_a_type
absent = no_such_module:Absent
"""


class RegistryTest(testtools.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.log = self.useFixture(fixtures.FakeLogger())
        registry.load.cache_clear()
        self.addCleanup(registry.load.cache_clear)

    def install(self) -> None:
        """Install a package with entry points, good ones and bad ones."""
        folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        (folder / 'licensed_slots.py').write_text(_MODULE)
        metadata = folder / 'licensed_slots-1.0.dist-info'
        metadata.mkdir()
        (metadata / 'METADATA').write_text(
            'Metadata-Version: 2.1\nName: licensed-slots\nVersion: 1.0\n'
        )
        (metadata / 'entry_points.txt').write_text(_ENTRY_POINTS)
        self.useFixture(fixtures.PythonPathEntry(str(folder)))
        # Otherwise this process knows the entry points that it has read once.
        self.useFixture(
            fixtures.MonkeyPatch(
                'stevedore.extension.ExtensionManager.ENTRY_POINT_CACHE', {}
            )
        )
        self.addCleanup(sys.modules.pop, 'licensed_slots', None)

    def test_the_types_of_this_project_are_known(self) -> None:
        self.assertEqual(
            {shipped.name for shipped in registry.SHIPPED},
            set(registry.load()),
        )

    def test_a_package_brings_a_type(self) -> None:
        self.install()
        self.assertEqual('license-slot', registry.load()['license-slot'].name)

    def test_what_is_no_resource_type_is_left_out_and_logged(self) -> None:
        self.install()
        known = registry.load()
        for name, reason in (
            ('other-name', "its class has the name 'license-slot'"),
            ('pci', 'pci_passthrough has one of that name'),
            ('text', 'text is no ResourceType'),
            ('absent', 'cannot be imported'),
        ):
            self.assertNotIn(name, known)
            self.assertIn(f'Ignoring resource type {name} of', self.log.output)
            self.assertIn(reason, self.log.output)
