# SPDX-License-Identifier: Apache-2.0
"""Claims of projects that have limits."""

from collections.abc import Collection
from collections.abc import Mapping
import datetime
from typing import Any

import sqlalchemy as sa
import testscenarios

from pci_passthrough import claims
from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.store import ledger
from pci_passthrough.store import models
from pci_passthrough.store.claims import adoption
from pci_passthrough.store.claims import claiming
from pci_passthrough.store.claims import quotas
from pci_passthrough.store.claims import transitions
from pci_passthrough.store.views import usages
from pci_passthrough.tests.functional.store import base

load_tests = testscenarios.load_tests_apply_scenarios

_QUOTA = 'quota_exceeded'

_NOON = datetime.datetime(2026, 1, 1, 12)


class LimitTest(base.ClaimTest):
    """A project with limits for the PCI flavors ``gpu`` and ``big``."""

    def setUp(self) -> None:
        super().setUp()
        for host in ('h', 'i'):
            self.report(
                host,
                [
                    *map(base.gpu, range(1, 5)),
                    *(
                        base.gpu(n, extra_info={'size': 'big'})
                        for n in range(5, 8)
                    ),
                ],
            )
        self.limits = {'gpu': 3}

    def limits_of(
        self, project_id: str, pci_flavors: Collection[str]
    ) -> Mapping[str, int]:
        if not self.limits:
            raise exception.LimitsUnknown('Keystone is away')
        mine = self.limits if project_id == 'mine' else {}
        return {n: mine[n] for n in pci_flavors if n in mine}

    def claim(
        self, host: str, *requests: objects.PciRequest, **arguments: Any
    ) -> list[objects.PciDevice]:
        owner = arguments.pop('instance_uuid', base.new_id())
        arguments.setdefault('owner_project_id', 'mine')
        return claiming.claim(
            self.db,
            base.POLICY,
            claims.ClaimRequest(host, owner, requests, 'test', **arguments),
            self.limits_of,
        )

    def check(
        self, *requests: objects.PciRequest, **arguments: Any
    ) -> tuple[int, list[tuple[str, int, int, int]]]:
        """Return the number of servers, and the excesses."""
        answer = quotas.check(
            self.db, self.limits_of, 'mine', requests, **arguments
        )
        return answer.servers, [
            (e.pci_flavor, e.limit, e.used, e.wanted) for e in answer.excesses
        ]

    def test_limit(self) -> None:
        self.claim('h', base.request('gpu', count=2))
        one, two = base.request('gpu'), base.request('gpu', count=2)
        self.assertEqual((0, [('gpu', 3, 2, 2)]), self.check(two))
        self.assertEqual((1, []), self.check(one))
        self.assertEqual((1, [('gpu', 3, 2, 4)]), self.check(one, servers=4))
        error = self.assertRaises(exception.ClaimRefused, self.claim, 'i', two)
        [reason] = error.reasons
        self.assertEqual(
            (_QUOTA, 'gpu', 2, 1, 'limit 3, used 2'),
            (
                reason.condition,
                reason.pci_flavor,
                reason.needed,
                reason.left,
                reason.detail,
            ),
        )
        self.assertIn('leaves 1 gpu, 2 needed', error.text)
        # Others, and those of whom nothing is known, have no limit.
        for project in ('other', None):
            self.claim('i', two, owner_project_id=project)
        self.assertEqual((1, []), self.check(one))
        self.claim('h', one, instance_uuid=self.owner)
        self.assertEqual([(_QUOTA, 1, 0)], self.conditions('h', one))
        self.assertEqual((0, [('gpu', 3, 3, 1)]), self.check(one))
        self.free()
        self.claim('h', one)

    def conditions(self, *arguments: Any, **more: Any) -> list[Any]:
        return [r[1:] for r in self.refused(*arguments, **more)]

    def test_devices_are_missing_anyway(self) -> None:
        [(condition, *_)] = self.conditions('h', base.request('gpu', count=9))
        self.assertEqual('too_few', condition)

    def test_alternatives(self) -> None:
        self.claim('h', base.request('gpu', count=2))
        either = base.request('gpu', 'big', count=2)
        self.assertEqual((1, []), self.check(either))
        [first, _] = self.claim('h', either)
        self.assertEqual('big', first.extra_info['size'])
        self.limits['big'] = 3
        self.assertEqual(
            (0, [('big', 3, 2, 2), ('gpu', 3, 2, 2)]),
            (*(answer := self.check(either))[:1], sorted(answer[1])),
        )
        self.assertEqual({(_QUOTA, 2, 1)}, set(self.conditions('i', either)))

    def test_moves(self) -> None:
        """A lowered limit strands nobody; a resize counts the difference."""
        owner = {'instance_uuid': self.owner}
        self.claim('h', base.request('gpu', count=2), **owner)
        self.claim('h', base.request('gpu'))
        self.limits['gpu'] = 1
        two, three = (base.request('gpu', count=n) for n in (2, 3))
        # To another host: as many, but not more.
        self.assertEqual(
            [(_QUOTA, 3, 2)], self.conditions('i', three, **owner)
        )
        asked = {**owner, 'host': 'h', 'replaces': True}
        self.assertEqual((1, []), self.check(two, **asked))
        self.assertEqual((0, [('gpu', 1, 3, 3)]), self.check(three, **asked))
        self.claim('i', two, **owner)
        # What is held on both hosts counts once, for others, too.
        self.limits['gpu'] = 4
        self.assertEqual([(_QUOTA, 2, 1)], self.conditions('i', two))
        transitions.free(self.db, self.owner, 'test', 'h')
        # Within a host, the present devices are replaced.
        self.assertEqual(
            [(_QUOTA, 3, 1)],
            self.conditions('i', three, **owner),
        )
        self.assertEqual(
            3, len(self.claim('i', three, **owner, replaces=True))
        )

    def test_one_more_device_counts(self) -> None:
        owner = {'instance_uuid': self.owner}
        self.claim('h', base.request('gpu', count=3), **owner)
        one = base.request('gpu')
        self.assertEqual([(_QUOTA, 1, 0)], self.conditions('h', one, **owner))
        self.assertEqual(
            (0, [('gpu', 3, 3, 1)]), self.check(one, **owner, host='h')
        )

    def test_adopted_devices_count(self) -> None:
        [claimed] = self.claim('h', base.request('gpu'))
        for slot in (2, 3, 4):
            adoption.adopt(
                self.db,
                'h',
                base.new_id(),
                'r',
                [f'0000:0{slot}:00.0'],
                'test',
                claimed.pci_flavor_uuid,
                'mine',
            )
        self.assertEqual(
            [(_QUOTA, 1, 0)], self.conditions('i', base.request('gpu'))
        )

    def test_devices_of_an_unknown_project(self) -> None:
        """They count for nobody, but their instance can move."""
        owner = {'instance_uuid': self.owner}
        two = base.request('gpu', count=2)
        self.claim('h', two, **owner, owner_project_id=None)
        self.limits['gpu'] = 1
        self.claim('h', base.request('gpu'))
        self.claim('i', two, **owner)

    def test_used(self) -> None:
        """As for the limits: during a move, the greater number counts."""
        owner = {'instance_uuid': self.owner}
        [held] = self.claim('h', base.request('gpu'), **owner)
        self.claim('i', base.request('gpu', count=2), **owner)
        self.claim('h', base.request('big'), owner_project_id='other')
        self.claim('h', base.request('big'), owner_project_id=None)
        gpu, mine = held.pci_flavor_uuid, usages.Filter('mine')
        self.assertEqual({('mine', gpu): 2}, usages.used(self.db, mine))
        self.assertEqual(
            {'mine': 2, 'other': 1},
            {
                project: count
                for (project, _), count in usages.used(
                    self.db, usages.Filter()
                ).items()
            },
        )
        self.assertEqual({}, usages.used(self.db, usages.Filter('other', gpu)))

    def test_limits_are_not_known(self) -> None:
        owner = {'instance_uuid': self.owner}
        self.claim('h', base.request('gpu'), **owner)
        self.limits = {}
        one, two = base.request('gpu'), base.request('gpu', count=2)
        for host, request in (('h', one), ('i', two)):
            error = self.assertRaises(
                exception.LimitsUnknown, self.claim, host, request, **owner
            )
            self.assertEqual('Keystone is away', error.text)
        self.assertRaises(exception.LimitsUnknown, self.check, one)
        self.claim('i', one, **owner)


class DeviceSecondsTest(base.ClaimTest):
    """Seconds in which devices are held, from a ledger with made-up times."""

    def setUp(self) -> None:
        super().setUp()
        for host in ('h', 'i'):
            self.report(host, [base.gpu(1), base.gpu(2)])

    def at(self, hour: int) -> datetime.datetime:
        return _NOON + datetime.timedelta(hours=hour)

    def date(self, hour: int) -> None:
        """Let the newest lines of the ledger be of an hour."""
        events = models.pci_device_events
        with self.db.write() as connection:
            connection.execute(
                events.update()
                .where(events.c.created_at > self.at(1000))
                .values(created_at=self.at(hour))
            )

    def hours(self, start: int, end: int, **wanted: str) -> dict[str, float]:
        """Return hours by project, whatever the PCI flavor."""
        seconds = usages.device_seconds(
            self.db, self.at(start), self.at(end), usages.Filter(**wanted)
        )
        return {
            project: number / 3600 for (project, _), number in seconds.items()
        }

    def test_claim_move_and_free(self) -> None:
        self.date(0)
        owner = {'instance_uuid': self.owner, 'owner_project_id': 'mine'}
        two = base.request('gpu', count=2)
        self.claim('h', two, **owner)
        self.date(1)
        transitions.allocate(self.db, 'h', self.owner, 'test')
        self.date(2)
        self.claim('i', two, **owner)
        self.date(4)
        transitions.free(self.db, self.owner, 'test', 'h')
        self.date(5)
        self.claim('h', base.request('gpu'), owner_project_id='other')
        self.claim('h', base.request('gpu'))
        self.date(6)
        transitions.free(self.db, self.owner, 'test')
        self.date(8)
        # Two devices on h from 1 to 5, on i from 4 to 8.
        self.assertEqual({'mine': 16, 'other': 4}, self.hours(0, 10))
        self.assertEqual({'mine': 16}, self.hours(0, 10, project_id='mine'))
        self.assertEqual({'mine': 6}, self.hours(3, 5))
        self.assertEqual({'mine': 2, 'other': 1}, self.hours(7, 8))
        self.assertEqual({}, self.hours(-9, 1))
        self.assertEqual({}, self.hours(0, 9, project_id='no'))

    def test_purged(self) -> None:
        """What was held when the oldest lines were purged, still counts."""
        owner = {'instance_uuid': self.owner, 'owner_project_id': 'mine'}
        self.claim('h', base.request('gpu', count=2), **owner)
        self.date(1)
        transitions.allocate(self.db, 'h', self.owner, 'test')
        self.date(2)
        self.claim('i', base.request('gpu'), owner_project_id='other')
        self.date(3)
        [gone] = self.claim('i', base.request('gpu'), owner_project_id='other')
        self.date(3)
        transitions.free(self.db, str(gone.instance_uuid), 'test')
        self.date(4)
        before = self.hours(5, 10)
        self.assertEqual({'mine': 10, 'other': 5}, before)
        ledger.purge(self.db, self.at(5))
        self.assertEqual(before, self.hours(5, 10))
        events = models.pci_device_events
        with self.db.read() as connection:
            left = connection.execute(
                sa.select(events.c.action).order_by(events.c.id)
            )
            self.assertEqual(
                ['allocate', 'allocate', 'claim'], list(left.scalars())
            )
