# SPDX-License-Identifier: Apache-2.0
"""Tests of a device's state, of its transitions and of its pool key."""

import itertools

import testtools

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.objects import fields
from pci_passthrough.objects import lifecycle
from pci_passthrough.tests.unit.objects import test_serialization as samples

#: The state while the host offers the device, and nobody disabled it.
OFFERED = {status: status for status in fields.DeviceStatus.ALL}

#: Status and action that go together; whatever is not here is refused.
ALLOWED = {
    ('available', 'claim'),
    ('available', 'adopt'),
    ('claimed', 'adopt'),
    ('cleaning', 'adopt'),
    ('claimed', 'abort'),
    ('claimed', 'allocate'),
    ('claimed', 'free'),
    ('allocated', 'free'),
    ('cleaning', 'prepared'),
    ('cleaning', 'not-prepared'),
    ('available', 'clean'),
    ('cleaning', 'clean'),
    ('quarantined', 'clean'),
    ('available', 'quarantine'),
    ('cleaning', 'quarantine'),
    ('quarantined', 'release'),
}


class StateTest(testtools.TestCase):
    def test_state(self) -> None:
        for status, presence, reason, refusal in itertools.product(
            fields.DeviceStatus.ALL,
            fields.Presence.ALL,
            (None, 'hot'),
            (None, 'it is mounted'),
        ):
            device = samples.DEVICE.replace(
                status=status,
                presence=presence,
                disabled_reason=reason,
                refusal=refusal,
            )
            expected = status
            if presence == 'missing':
                expected = 'missing'
            elif reason and status in ('available', 'cleaning'):
                expected = 'disabled'
            elif refusal and (status, presence) == ('available', 'withdrawn'):
                expected = 'refused'
            self.assertEqual(expected, device.state)
            conflict = device.replace(conflict='1b21:2142 is at its address')
            self.assertEqual('conflict', conflict.state)


class LifecycleTest(testtools.TestCase):
    def test_allowed(self) -> None:
        for status, action in itertools.product(
            fields.DeviceStatus.ALL, lifecycle.TRANSITIONS
        ):
            device = samples.DEVICE.replace(status=status, presence='offered')
            with self.subTest(status=status, action=action):
                if (status, action) in ALLOWED:
                    lifecycle.check_allowed(device, action)
                    continue
                error = self.assertRaises(
                    exception.DeviceStateConflict,
                    lifecycle.check_allowed,
                    device,
                    action,
                )
                self.assertEqual(action, error.action)
                self.assertEqual(status, error.state)
                self.assertIn(device.uuid, str(error))

    def test_missing_device_goes_on(self) -> None:
        self.assertEqual('missing', samples.DEVICE.state)
        lifecycle.check_allowed(samples.DEVICE, 'free')

    def test_owned(self) -> None:
        self.assertEqual(('claimed', 'allocated'), lifecycle.OWNED)


class PoolKeyTest(testtools.TestCase):
    def test_of(self) -> None:
        key = objects.PoolKey.of(samples.DEVICE)
        for name in objects.POOL_FIELDS:
            self.assertEqual(getattr(samples.DEVICE, name), getattr(key, name))
        self.assertEqual(
            (('naïve', '✓'), ('physical_network', 'physnet1')), key.extra_info
        )

    def test_order_of_tags_does_not_count(self) -> None:
        tags = {'b': '1', 'a': '2'}
        other = samples.DEVICE.replace(extra_info=tags)
        same = samples.DEVICE.replace(
            extra_info=dict(reversed(tags.items())), status='available'
        )
        self.assertEqual(objects.PoolKey.of(other), objects.PoolKey.of(same))
        self.assertEqual(
            hash(objects.PoolKey.of(other)), hash(objects.PoolKey.of(same))
        )


class PciFlavorTest(testtools.TestCase):
    def test_visible_to(self) -> None:
        flavor = samples.FLAVOR
        for is_public, project_id, expected in (
            (False, None, True),
            (False, 'p1', True),
            (False, 'p2', True),
            (False, 'p9', False),
            (True, 'p9', True),
        ):
            changed = flavor.replace(is_public=is_public)
            self.assertEqual(expected, changed.visible_to(project_id))

    def test_operators_flavor(self) -> None:
        flavor = samples.FLAVOR.replace(project_id=None, access=[])
        self.assertFalse(flavor.visible_to('p1'))
        self.assertTrue(flavor.visible_to(None))


class PciRequestTest(testtools.TestCase):
    def test_str(self) -> None:
        request = objects.PciRequest(count=2, pci_flavors=['a', 'b'])
        self.assertEqual('a|b:2', str(request))
