# SPDX-License-Identifier: Apache-2.0
"""Tests of the identity of devices."""

import hypothesis
from hypothesis import strategies
import testtools

from pci_passthrough import objects

_IDS = strategies.from_regex(r'[0-9a-f]{4}', fullmatch=True)
_IDENTITIES = strategies.builds(
    objects.Identity,
    _IDS,
    _IDS,
    strategies.none() | _IDS,
    strategies.none() | _IDS,
    strategies.none() | strategies.text('ab:1 -', min_size=1, max_size=20),
)

GPU = objects.Identity('10de', '20b5', '10de', '1533', 'S1')


class IdentityTestCase(testtools.TestCase):
    @hypothesis.given(_IDENTITIES)
    def test_round_trip(self, identity: objects.Identity) -> None:
        self.assertEqual(identity, objects.Identity.parse(str(identity)))

    def test_malformed(self) -> None:
        for text in ('', '10de:20b5', '10de:20b5::'):
            with self.subTest(text=text):
                error = self.assertRaises(
                    ValueError, objects.Identity.parse, text
                )
                self.assertIn('is not vendor:product', str(error))

    def test_table(self) -> None:
        for other, contradicts, proves in (
            (GPU, False, True),
            (objects.Identity('10de', '20b5'), False, False),
            (objects.Identity('10de', '20b5', '10de', '1533'), False, False),
            (objects.Identity('10de', '20b6', '10de', '1533'), True, False),
            (objects.Identity('10de', '20b5', '103c', '1533'), True, False),
            (
                objects.Identity('10de', '20b5', '10de', '1533', 'S2'),
                True,
                False,
            ),
        ):
            with self.subTest(other=other):
                self.assertEqual(contradicts, GPU.contradicts(other))
                self.assertEqual(contradicts, other.contradicts(GPU))
                self.assertEqual(proves, GPU.proves(other))

    def test_without_a_serial_number_nothing_is_proven(self) -> None:
        gpu = objects.Identity('10de', '20b5')
        self.assertFalse(gpu.proves(gpu))
