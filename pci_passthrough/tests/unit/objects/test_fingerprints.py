# SPDX-License-Identifier: Apache-2.0
"""No object changes without a new version.

A fingerprint that differs means: raise the object's ``VERSION``, say in its
history what is new, teach ``obj_make_compatible`` to leave it out for older
peers, and only then write the new fingerprint down here.
"""

from oslo_versionedobjects import base
from oslo_versionedobjects import fixture
import testtools

from pci_passthrough import objects

FINGERPRINTS = {
    'ClaimResult': '1.0-ffca7ee22b4543507b5c892ff936553c',
    'HostReport': '1.2-10e6974bea57983909ecf553592ee08b',
    'NumaAffinity': '1.0-533a206c275e6078b860a10e13cf680a',
    'PciAlternative': '1.1-842ae7d3c2f4766871e2eef92d659abf',
    'PciDevice': '1.5-1fca3ae0a0676275df3e036e3f8801d4',
    'PciDeviceEvent': '1.1-2ae24816e8a6528b7d3d3f7481602dbc',
    'PciDevicePool': '1.3-1fa0073098a64469f72b218a1618d8d0',
    'PciFlavor': '1.1-3b4aa3997c09681d428cb353f34b1d19',
    'PciRequest': '1.1-015b0b235bc857b36ef6c3940af1da85',
    'Preparation': '1.1-e475618672588723e1efaf5cc310be34',
    'QuotaAnswer': '1.0-abf4b4a5f88453d4013b38acf8d6bd39',
    'QuotaExcess': '1.0-dcb350b99b5aaf4b571e9e09cc086cac',
    'RefusalReason': '1.3-f79e22478ccf8f05828ae5e3b2bfcba7',
    'ReportAck': '1.0-11f5150593619fca82b88a021082b303',
    'RequestedNic': '1.0-f389292b485eb67b1cb8ba180366fd2f',
    'ResolvedRequest': '1.0-6795df30ebc29e0171fc9bd32d6150f0',
    'SchedulingOffer': '1.2-d62bbb46763d30f2a2afa8c6094eb206',
    'SchedulingRefusal': '1.2-98cb6302b5896557a35ca244a3dd4380',
    'TrackerAck': '1.0-811fe1e57530a103f81ab92b6a433d43',
}


class FingerprintTest(testtools.TestCase):
    def test_fingerprints(self) -> None:
        mine = {
            name: versions
            for name, versions in (
                base.VersionedObjectRegistry.obj_classes().items()
            )
            if issubclass(versions[0], objects.base.PciPassthroughObject)
        }
        checker = fixture.ObjectVersionChecker(mine)
        expected, actual = checker.test_hashes(FINGERPRINTS)
        self.assertEqual(expected, actual)
