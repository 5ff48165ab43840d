# SPDX-License-Identifier: Apache-2.0
"""The devices of one IOMMU group go to one instance, or to none."""

from typing import Any

import sqlalchemy as sa
import testscenarios

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.store import models
from pci_passthrough.store.claims import adoption
from pci_passthrough.store.claims import choosing
from pci_passthrough.store.claims import transitions
from pci_passthrough.store.devices import operators
from pci_passthrough.store.devices import resolving
from pci_passthrough.store.pci_flavors import lookup as flavor_lookup
from pci_passthrough.store.views import census
from pci_passthrough.store.views import explanations
from pci_passthrough.store.views import supply_snapshots
from pci_passthrough.tests.functional.store import base

load_tests = testscenarios.load_tests_apply_scenarios

_devices = models.pci_devices

_GPU, _SOUND = '0000:01:00.0', '0000:01:00.1'


class GroupTestCase(base.StoreTest):
    def setUp(self) -> None:
        super().setUp()
        base.create_card_flavors(self.db)
        self.owner = base.new_id()

    def groups(self, host: str = 'h') -> dict[str, int | None]:
        """Return the recorded shared group of each device by address."""
        nodes = models.compute_nodes
        statement = (
            sa.select(_devices.c.address, _devices.c.shared_group)
            .join(nodes, nodes.c.id == _devices.c.compute_node_id)
            .where(nodes.c.host == host)
        )
        with self.db.read() as connection:
            return dict(connection.execute(statement).all())

    def take(self, *names: str, **arguments: Any) -> list[str]:
        """Claim devices of ``h`` for a new instance, or for the owner."""
        wanted = map(base.request, names)
        return base.addresses(self.claim('h', *wanted, **arguments))

    def refused(self, *names: str, **arguments: Any) -> str:
        """Check that a claim is refused; return the condition's detail."""
        error = self.assertRaises(
            exception.ClaimRefused, self.take, *names, **arguments
        )
        [reason] = error.reasons
        self.assertEqual('all_held', reason.condition)
        return str(reason.detail)


class ExclusionTest(GroupTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.report('h', base.card(1))

    def test_gpu_alone_holds_its_sound_function(self) -> None:
        self.assertEqual([_GPU], self.take('card', instance_uuid=self.owner))
        detail = self.refused('sound')
        self.assertIn('1 excluded', detail)
        self.assertEqual({'sound': 'all_held'}, self._explained('sound'))
        self.assertEqual({}, self._offered('sound'))
        counts: dict[str, dict[str, int]] = {
            group.pci_flavor: dict(states)
            for group, states in census.take(
                self.db, base.TRACKED
            ).devices.items()
        }
        self.assertEqual(
            {'card': {'held': 1}, 'sound': {'excluded': 1}}, counts
        )
        transitions.free(self.db, self.owner, 'test')
        self.assertEqual({'sound': None}, self._explained('sound'))
        self.assertEqual({'h': 1}, self._offered('sound'))
        self.assertEqual([_SOUND], self.take('sound'))
        self.refused('card')

    def _explained(self, name: str) -> dict[str, str | None]:
        explained = explanations.explain(
            self.db, base.LIMITS, flavor_lookup.get(self.db, name)
        )
        [answer] = explained.hosts
        return {name: answer.condition}

    def _offered(self, name: str) -> dict[str, int]:
        snapshot = supply_snapshots.get(
            self.db, base.LIMITS, [base.request(name)], None
        )
        return {
            host: sum(supply.free.values())
            for host, supply in snapshot.supplies.items()
        }

    def test_both_to_one_instance(self) -> None:
        self.assertEqual([_GPU, _SOUND], self.take('card', 'sound'))

    def test_attached_later_to_the_same_instance(self) -> None:
        self.take('card', instance_uuid=self.owner)
        self.refused('sound')
        self.assertEqual(
            [_SOUND], self.take('sound', instance_uuid=self.owner)
        )

    def test_quarantined_member(self) -> None:
        self.take('card', instance_uuid=self.owner)
        transitions.free(self.db, self.owner, 'test')
        operators.move(self.db, f'h/{_GPU}', 'quarantine', 'dirty', 'op')
        self.refused('sound')
        # Nor to the instance that had it.
        self.refused('sound', instance_uuid=self.owner)
        operators.move(self.db, f'h/{_GPU}', 'release', 'clean', 'op')
        self.take('sound')

    def test_same_number_on_another_host(self) -> None:
        self.report('g', base.card(1))
        self.claim('g', base.request('card'))
        self.assertEqual([_SOUND], self.take('sound'))

    def test_other_groups(self) -> None:
        self.report('h', [*base.card(1), *base.card(2)])
        self.take('card')
        self.assertEqual(['0000:02:00.1'], self.take('sound'))

    def test_adoption_records_what_is_so(self) -> None:
        self.take('card')
        [adopted] = adoption.adopt(
            self.db, 'h', self.owner, 'r', [_SOUND], 'nova-compute/h'
        )
        self.assertEqual(self.owner, adopted.instance_uuid)

    def test_update_checks_by_itself(self) -> None:
        self.take('card', instance_uuid=self.owner)
        flavor = flavor_lookup.get(self.db, 'sound').uuid
        for instance, lost in ((base.new_id(), True), (self.owner, False)):
            with self.db.write() as connection:
                row = connection.execute(
                    _devices.select().where(_devices.c.address == _SOUND)
                ).one()
                assignment = choosing.Assignment(
                    row.id, row.pool_key_id, 'r', flavor
                )
                arguments = (
                    connection,
                    row.compute_node_id,
                    instance,
                    [assignment],
                )
                if lost:
                    self.assertRaises(
                        choosing.LostRace, choosing.take, *arguments
                    )
                else:
                    choosing.take(*arguments)


class RecordTest(GroupTestCase):
    def test_as_reported(self) -> None:
        video, sound = base.card(1)
        self.report('h', [video, base.gpu(2, iommu_group=None)])
        self.report('g', [sound])
        alone = {_GPU: None, '0000:02:00.0': None}
        self.assertEqual(alone, self.groups())
        self.report('h', [video, base.gpu(2, iommu_group=1)])
        self.assertEqual({_GPU: 1, '0000:02:00.0': 1}, self.groups())
        self.report('h', [video, base.gpu(2, iommu_group=None)])
        self.assertEqual(alone, self.groups())
        self.assertEqual({_SOUND: None}, self.groups('g'))
        self.report('h', base.card(1))
        self.report('h', [video])
        self.assertEqual({_GPU: None}, self.groups())

    def test_more_than_one_statement_takes(self) -> None:
        self.report('h', [vf for n in range(5) for vf in self._vfs(n, 9)])
        self.assertEqual({9}, set(self.groups().values()))
        self.report('h', [vf for n in range(5) for vf in self._vfs(n, None)])
        self.assertEqual({None}, set(self.groups().values()))

    def _vfs(self, bus: int, group: int | None) -> list[objects.PciDevice]:
        return [base.vf(bus, n, iommu_group=group) for n in range(128)]

    def test_refused_member(self) -> None:
        video, sound = base.card(1)
        refused = sound.replace(refusal='it is on snd_hda_intel')
        self.report('h', [video], refused=[refused])
        self.assertEqual({_GPU: 1, _SOUND: 1}, self.groups())
        self.take('card')

    def test_member_that_is_held_and_gone(self) -> None:
        video, sound = base.card(1)
        self.report('h', [video, sound])
        self.take('card', instance_uuid=self.owner)
        for left in ({'withdrawn': [_GPU]}, {}):
            self.report('h', [sound], **left)
            self.assertEqual({_GPU: 1, _SOUND: 1}, self.groups())
            self.refused('sound')
        transitions.free(self.db, self.owner, 'test')
        self.take('sound')

    def test_group_of_a_held_device(self) -> None:
        video, sound = base.card(1)
        self.report('h', [video, sound])
        self.take('card')
        in_guest = video.replace(driver='vfio-pci', iommu_group=None)
        self.report('h', [in_guest, sound])
        self.refused('sound')
        # The host was rebooted, and has other numbers now.
        self.report(
            'h',
            [
                in_guest.replace(iommu_group=5),
                sound.replace(iommu_group=5),
                base.gpu(2, iommu_group=1),
            ],
        )
        self.assertEqual(
            {_GPU: 5, _SOUND: 5, '0000:02:00.0': None}, self.groups()
        )
        self.refused('sound')
        self.assertEqual(['0000:02:00.0'], self.take('card'))

    def test_held_device_that_moved(self) -> None:
        self.report('h', base.card(1))
        self.take('card')
        other = base.gpu(1, vendor_id='8086', iommu_group=1)
        fleet = [other, *base.card(2)]
        self.report('h', fleet)
        resolving.resolve(
            self.db, f'h/{_GPU}', '0000:02:00.0', 'a card was added', 'op'
        )
        # Before the agent reports again.
        members = {'0000:02:00.0': 2, '0000:02:00.1': 2}
        self.assertEqual(members, self.groups())
        self.report('h', fleet)
        self.assertEqual(members | {_GPU: None}, self.groups())
        self.refused('sound')
