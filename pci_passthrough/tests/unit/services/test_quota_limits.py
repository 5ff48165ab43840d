# SPDX-License-Identifier: Apache-2.0
"""Tests of remembering the limits of projects."""

from collections.abc import Mapping
import concurrent.futures
import itertools
import threading
from unittest import mock

import fixtures
import testtools

from pci_passthrough import conf as conf_module
from pci_passthrough import exception
from pci_passthrough.services import quota_limits

_MONOTONIC = 'pci_passthrough.services.quota_limits.time.monotonic'


class KeystoneLimitsTest(testtools.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.now = 1000.0
        self.useFixture(fixtures.MonkeyPatch(_MONOTONIC, lambda: self.now))
        self.keystone: dict[str | None, dict[str, int]] = {
            None: {'pci_flavor:gpu': 5, 'servers': 1},
            'rich': {'pci_flavor:gpu': 9},
        }
        self.is_away = False
        self.asked: list[str | None] = []
        self.limits = quota_limits.KeystoneLimits(self.fetch, 10)

    def fetch(self, project_id: str | None) -> Mapping[str, int]:
        self.asked.append(project_id)
        if self.is_away:
            raise exception.LimitsUnknown('Keystone is away')
        return dict(self.keystone.get(project_id, {}))

    def gpus(self, project_id: str) -> Mapping[str, int]:
        return self.limits.current(project_id, ['gpu', '10g'])

    def test_remembered_for_some_seconds(self) -> None:
        self.assertEqual({'gpu': 5}, self.gpus('poor'))
        self.assertEqual({'gpu': 9}, self.gpus('rich'))
        self.keystone['poor'] = {'pci_flavor:gpu': 6}
        self.assertEqual({'gpu': 5}, self.gpus('poor'))
        self.assertEqual([None, 'poor', 'rich'], self.asked)
        self.now += 11
        self.assertEqual({'gpu': 6}, self.gpus('poor'))
        self.assertEqual([None, 'poor', 'rich', None, 'poor'], self.asked)

    def test_one_asks_while_the_others_go_on(self) -> None:
        """Keystone may be slow when many servers are created at once."""
        self.gpus('poor')
        self.keystone['poor'] = {'pci_flavor:gpu': 6}
        self.now += 11
        meanwhile: list[Mapping[str, int]] = []

        def slowly(project_id: str | None) -> Mapping[str, int]:
            other = threading.Thread(
                target=lambda: meanwhile.append(self.gpus('poor'))
            )
            other.start()
            other.join()
            return self.fetch(project_id)

        self.limits._fetch = slowly
        self.assertEqual({'gpu': 6}, self.gpus('poor'))
        self.assertEqual([{'gpu': 5}, {'gpu': 5}], meanwhile)

    def test_many_at_once_ask_twice(self) -> None:
        """Also if nothing is remembered: what is asked later is as new."""
        clock = itertools.count(1)
        self.useFixture(fixtures.MonkeyPatch(_MONOTONIC, lambda: next(clock)))
        limits = quota_limits.KeystoneLimits(self.fetch, 0)
        del self.keystone[None]['pci_flavor:gpu']
        arrived = threading.Semaphore(0)
        acquire = limits._lock.acquire

        def acquire_late(blocking: bool) -> bool:
            arrived.release()
            return acquire(blocking)

        limits._lock = mock.Mock(
            acquire=acquire_late, release=limits._lock.release
        )
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            acquire()
            calls = [
                pool.submit(limits.current, 'poor', ['gpu']) for _ in range(8)
            ]
            for _ in calls:
                arrived.acquire()
            limits._lock.release()
            for call in calls:
                self.assertEqual({}, call.result())
        self.assertEqual([None], self.asked)
        self.assertEqual({}, limits.current('poor', ['gpu']))
        self.assertEqual([None, None], self.asked)

    def test_nothing_is_asked_of_projects_without_registered_limits(
        self,
    ) -> None:
        del self.keystone[None]['pci_flavor:gpu']
        self.assertEqual({}, self.gpus('rich'))
        self.assertEqual({}, self.gpus('rich'))
        self.assertEqual([None], self.asked)

    def test_keystone_away(self) -> None:
        self.gpus('poor')
        self.now, self.is_away = self.now + 11, True
        self.assertRaises(exception.LimitsUnknown, self.gpus, 'poor')
        for _ in range(3):
            self.assertEqual(
                {'gpu': 5}, self.limits.last_known('poor', ['gpu'])
            )
        # Of this project nothing was ever known.
        self.assertRaises(
            exception.LimitsUnknown, self.limits.last_known, 'rich', ['gpu']
        )
        self.assertEqual([None, 'poor', None], self.asked)
        self.now, self.is_away = self.now + 11, False
        self.assertEqual({'gpu': 9}, self.limits.last_known('rich', ['gpu']))

    def test_not_configured(self) -> None:
        conf = conf_module.load([], 'x', config_files=[])
        limits = quota_limits.from_conf(conf)
        self.assertIsInstance(limits, quota_limits.NoLimits)
        self.assertEqual({}, limits.current('poor', ['gpu']))
        self.assertEqual({}, limits.last_known('poor', ['gpu']))
