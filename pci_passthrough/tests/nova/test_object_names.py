# SPDX-License-Identifier: Apache-2.0
"""Checks that this project's versioned objects are told from Nova's.

oslo.versionedobjects has one registry for a process. An object whose name and
version Nova uses, too, would replace Nova's, or be replaced by it.
"""

from nova import objects as nova_objects
from nova.objects import base as nova_base
import testtools

from pci_passthrough import objects


class ObjectNamesTest(testtools.TestCase):
    def test_versions_differ(self) -> None:
        nova_objects.register_all()
        ours = {
            (name, getattr(objects, name).VERSION)
            for name in objects.__all__
            if hasattr(getattr(objects, name), 'VERSION')
        }
        self.assertNotEqual(set(), ours)
        of_nova = {
            (subclass.obj_name(), subclass.VERSION)
            for subclass in nova_base.NovaObject.__subclasses__()
        }
        self.assertIn('PciDevicePool', {name for name, _ in of_nova})
        self.assertEqual(set(), ours & of_nova)
