# SPDX-License-Identifier: Apache-2.0
"""A resource type and its handler from another package, in a real agent."""

import pathlib
import shutil
import sys
from typing import Any

import fixtures

from pci_passthrough import resource_types
from pci_passthrough.resource_types import registry
from pci_passthrough.tests import license_slots
from pci_passthrough.tests.functional.services import agent_host
from pci_passthrough.tests.functional.services import programs

_ENTRY = (
    '{"match": {"resource_type": "license"}, "type": "solver", '
    '"description": "One seat of the solver", "count": 2}'
)

_ENTRY_POINTS = """
[pci_passthrough.resource_types]
license = licensing:LicenseSlots
[pci_passthrough.device_handler]
license-return = licensing:LicenseReturn
"""


class OwnResourceTypeTest(agent_host.AgentHostTest):
    def setUp(self) -> None:
        super().setUp()
        packages = self.folder / 'packages'
        info = packages / 'licensing-1.0.dist-info'
        info.mkdir(parents=True)
        shutil.copy(str(license_slots.__file__), packages / 'licensing.py')
        (info / 'METADATA').write_text(
            'Metadata-Version: 2.1\nName: licensing\nVersion: 1.0\n'
        )
        (info / 'entry_points.txt').write_text(_ENTRY_POINTS)
        self.useFixture(fixtures.PythonPathEntry(str(packages)))
        # For the processes of the handlers.
        self.useFixture(
            fixtures.EnvironmentVariable('PYTHONPATH', ':'.join(sys.path))
        )
        self.useFixture(
            fixtures.MonkeyPatch(
                'stevedore.extension.ExtensionManager.ENTRY_POINT_CACHE', {}
            )
        )
        self.addCleanup(sys.modules.pop, 'licensing', None)
        registry.load.cache_clear()
        self.addCleanup(registry.load.cache_clear)
        self.write('etc/licenses', 'SEAT-1\nSEAT-2\nSEAT-3\n')

    def write(self, path: str, text: str) -> pathlib.Path:
        file = pathlib.Path(self.host.host_root, path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def by_address(self) -> dict[str, Any]:
        return {device.address: device for device in self.devices()}

    def test_from_the_entry_to_the_next_owner(self) -> None:
        self.assertIn('license', resource_types.load())
        self.create_flavor(
            'seat', {'resource_type': 'license', 'e.type': 'solver'}
        )
        self.start(_ENTRY)
        programs.wait_for(
            lambda: (
                {a: d.state for a, d in self.by_address().items()}
                == {
                    'seat-1': 'available',
                    'seat-2': 'available',
                    'seat-3': 'refused',
                }
            ),
            'two seats',
        )
        self.assertIn('2', self.by_address()['seat-3'].refusal)
        held = self.hold('seat')
        seat = self.by_address()[held]
        self.assertEqual('license', seat.resource_type)
        self.assertEqual(
            'One seat of the solver', seat.extra_info['description']
        )
        self.assertEqual(['license-return'], seat.handlers)
        lease = self.write(f'run/leases/{held}', 'of the instance')
        self.give_back()
        programs.wait_for(
            lambda: self.by_address()[held].state == 'available', 'cleaned'
        )
        self.assertFalse(lease.exists())
