# SPDX-License-Identifier: Apache-2.0
"""The metadata definitions for Nova flavors, by Glance's own schema.

Needs no cloud, but Glance's code.
"""

import json
import pathlib
from typing import Final

from glance.api.v2 import metadef_namespaces
import testtools

_FILE: Final = (
    pathlib.Path(__file__).parents[3]
    / 'etc/glance/metadefs/pci-passthrough.json'
)


class MetadefsTest(testtools.TestCase):
    def test_glance_takes_them(self) -> None:
        body = json.loads(_FILE.read_text())
        metadef_namespaces.get_schema().validate(body)
        [flavors] = body['resource_type_associations']
        self.assertEqual('OS::Nova::Flavor', flavors['name'])
        self.assertEqual(
            ['pci_passthrough:pci_flavor'],
            [flavors['prefix'] + name for name in body['properties']],
        )
