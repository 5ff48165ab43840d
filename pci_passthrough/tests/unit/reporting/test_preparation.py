# SPDX-License-Identifier: Apache-2.0
"""Decisions about devices between two instances."""

from typing import Any

import testtools

from pci_passthrough import objects
from pci_passthrough.reporting import preparation
from pci_passthrough.tests.unit.objects import test_serialization as samples

_BOUNDS = preparation.Bounds(attempts=3, failed_starts=3, failed_instances=2)
_ONE, _TWO = (f'00000000-0000-4000-8000-00000000000{n}' for n in (1, 2))


def device(**changes: Any) -> objects.PciDevice:
    """Return a device with handlers that an instance holds."""
    facts: dict[str, Any] = {
        'status': 'allocated',
        'presence': 'offered',
        'instance_uuid': _ONE,
        'handlers': ['reset'],
        'on_failure': None,
        'preparation': None,
        'preparation_running': None,
        'preparation_step': None,
        'preparation_attempt': None,
        'failed_starts': 0,
        'failed_instances': [],
        'start_failed_for': None,
        'start_failure': None,
    }
    return samples.DEVICE.replace(**facts | changes)


class GivenBackTest(testtools.TestCase):
    def test_handlers_decide(self) -> None:
        after = preparation.given_back(device(handlers=[]), _BOUNDS)
        self.assertEqual({'status': 'available'}, after)
        after = preparation.given_back(device(), _BOUNDS)
        self.assertEqual(
            ('cleaning', 'clean', 1),
            (
                after['status'],
                after['preparation_step'],
                after['preparation_attempt'],
            ),
        )

    def test_failed_starts_count(self) -> None:
        for failed, before, instances, status in (
            # How often it failed before, for whom, and what follows.
            (0, [], 1, 'available'),
            (1, [_ONE], 1, 'available'),
            (2, [_ONE], 1, 'available'),
            (2, [_TWO], 2, 'quarantined'),
            (1, [_TWO], 2, 'available'),
            (9, [_TWO, _ONE], 2, 'quarantined'),
        ):
            with self.subTest(failed=failed, before=before):
                after = preparation.given_back(
                    device(
                        handlers=[],
                        failed_starts=failed,
                        failed_instances=before,
                        start_failed_for=_ONE,
                        start_failure='vfio: error opening /dev/vfio/7',
                    ),
                    _BOUNDS,
                )
                self.assertEqual(status, after['status'])
                self.assertEqual(failed + 1, after['failed_starts'])
                self.assertEqual(instances, len(after['failed_instances']))
                self.assertEqual(_ONE, after['failed_instances'][-1])
                self.assertIsNone(after['start_failed_for'])
                self.assertEqual(
                    status == 'quarantined',
                    'the last one: vfio: error opening /dev/vfio/7'
                    in str(after.get('quarantine_reason')),
                )

    def test_failed_start_of_another_instance_does_not_count(self) -> None:
        after = preparation.given_back(
            device(handlers=[], start_failed_for=_TWO, failed_starts=2),
            _BOUNDS,
        )
        self.assertEqual({'status': 'available'}, after)

    def test_quarantined_device_is_not_clean(self) -> None:
        after = preparation.given_back(
            device(
                failed_starts=2, failed_instances=[_TWO], start_failed_for=_ONE
            ),
            _BOUNDS,
        )
        self.assertEqual('quarantined', after['status'])
        self.assertEqual('clean', after['preparation_step'])

    def test_without_a_limit(self) -> None:
        after = preparation.given_back(
            device(
                failed_starts=99,
                failed_instances=[_TWO],
                start_failed_for=_ONE,
                handlers=[],
            ),
            preparation.Bounds(failed_starts=0),
        )
        self.assertEqual('available', after['status'])

    def test_remembered_instances_are_limited(self) -> None:
        many = [objects_uuid(n) for n in range(100, 160)]
        after = preparation.given_back(
            device(start_failed_for=_ONE, failed_instances=many),
            preparation.Bounds(failed_starts=0),
        )
        self.assertEqual(
            [*many[1 - preparation.MOST_INSTANCES :], _ONE],
            after['failed_instances'],
        )


def objects_uuid(number: int) -> str:
    """Return a UUID."""
    return f'00000000-0000-4000-8000-{number:012}'


class FailedTest(testtools.TestCase):
    def test_attempts(self) -> None:
        for on_failure, attempt, status, following in (
            (None, 1, 'cleaning', 2),
            ('quarantine', 2, 'cleaning', 3),
            ('quarantine', 3, 'quarantined', None),
            ('odd', 4, 'quarantined', None),
            ('retry', 3, 'cleaning', 4),
            ('retry', 300, 'cleaning', 301),
        ):
            with self.subTest(on_failure=on_failure, attempt=attempt):
                after = preparation.failed(
                    device(
                        status='cleaning',
                        preparation_step='clean',
                        preparation_attempt=attempt,
                        on_failure=on_failure,
                    ),
                    'no such ioctl',
                    _BOUNDS,
                )
                self.assertEqual(status, after['status'])
                self.assertEqual(following, after.get('preparation_attempt'))
                self.assertIn(
                    'no such ioctl',
                    after['preparation_text']
                    if following
                    else after['quarantine_reason'],
                )
                self.assertIsNone(after['preparation_running'])


class ReportedTest(testtools.TestCase):
    def after(
        self, before: objects.PciDevice, *, anew: bool = False, **facts: Any
    ) -> tuple[Any, ...]:
        after = preparation.reported(
            before, before.replace(**facts), is_offered_anew=anew
        )
        return after.get('status'), after.get('preparation_step')

    def test_new_hardware_is_set_up(self) -> None:
        free = device(status='available', instance_uuid=None)
        setting_up = free.replace(status='cleaning', preparation_step='setup')
        begun = ('cleaning', 'setup')
        self.assertEqual(begun, self.after(free, anew=True))
        self.assertEqual(begun, self.after(setting_up, anew=True))
        nothing = (None, None)
        self.assertEqual(nothing, self.after(free, anew=True, handlers=[]))
        # Handlers that are new do not take away what is in use.
        self.assertEqual(nothing, self.after(free.replace(handlers=[])))
        self.assertEqual(nothing, self.after(device(), anew=True))

    def test_unclean_device_stays_unclean(self) -> None:
        unclean = device(status='cleaning', preparation_step='clean')
        begun = ('cleaning', 'clean')
        missing = unclean.replace(presence='missing')
        self.assertEqual(
            begun, self.after(missing, anew=True, presence='offered')
        )
        self.assertEqual(begun, self.after(unclean, handlers=['wipe']))
        self.assertEqual(begun, self.after(unclean, presence='withdrawn'))
        self.assertEqual((None, None), self.after(unclean, driver='nvme'))
        gone, _ = self.after(unclean, handlers=[])
        self.assertEqual('quarantined', gone)

    def test_without_handlers_nothing_is_to_be_set_up(self) -> None:
        new = device(status='cleaning', preparation_step='setup')
        self.assertEqual('available', self.after(new, handlers=[])[0])
        # The agent is at work on it.
        running = new.replace(preparation_running=7)
        self.assertEqual('quarantined', self.after(running, handlers=[])[0])
