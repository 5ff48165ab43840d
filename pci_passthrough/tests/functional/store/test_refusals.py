# SPDX-License-Identifier: Apache-2.0
"""Refused claims, and the PCI flavors that a claim may use."""

from concurrent import futures

import fixtures
import testscenarios

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough import store
from pci_passthrough.store.devices import operators
from pci_passthrough.store.pci_flavors import editing
from pci_passthrough.store.pci_flavors import lookup as flavor_lookup
from pci_passthrough.store.pci_flavors import resolving
from pci_passthrough.store.views import explanations
from pci_passthrough.tests.functional.store import base

load_tests = testscenarios.load_tests_apply_scenarios


class RefusalTest(base.ClaimTest):
    def test_numbers(self) -> None:
        self.report('h', [base.gpu(1), base.gpu(2, numa_node=1)])
        self.assertEqual(
            [('vf', 'no_match', 1, 0)], self.refused('h', base.request('vf'))
        )
        self.assertEqual(
            [('gpu', 'too_few', 3, 2)],
            self.refused('h', base.request('gpu', count=3)),
        )
        self.assertEqual(
            [('gpu', 'numa', 2, 1)],
            self.refused(
                'h',
                base.request('gpu', count=2),
                numa=objects.NumaAffinity(nodes=[0], socket_nodes=[0]),
            ),
        )
        self.claim('h', base.request('gpu', count=2))
        self.assertEqual(
            [('big', 'no_match', 1, 0), ('gpu', 'all_held', 1, 0)],
            self.refused('h', base.request('big', 'gpu')),
        )

    def test_all_or_nothing(self) -> None:
        self.report('h', [base.gpu(1)])
        self.refused('h', base.request('gpu'), base.request('vf'))
        self.assertEqual({'0000:01:00.0': 'available'}, self.states())

    def test_states_are_named(self) -> None:
        self.report('h', [*map(base.gpu, range(1, 5)), *base.family(9, 1)])
        operators.disable(self.db, 'h/0000:01:00.0', 'hot', 'op')
        operators.move(self.db, 'h/0000:02:00.0', 'quarantine', 'dirty', 'op')
        self.claim('h', base.request('gpu'))
        self.claim('h', base.request('vf'))
        error = self.assertRaises(
            exception.ClaimRefused,
            self.claim,
            'h',
            base.request('gpu', count=2),
            base.request('pf'),
        )
        gpu, pf = error.reasons
        self.assertIn(
            '1 claimed, 1 disabled, 1 free, 1 quarantined', gpu.detail
        )
        self.assertIn('1 excluded', pf.detail)

    def test_withdrawn_is_said_of_what_is_held_too(self) -> None:
        self.report('h', [*map(base.gpu, range(1, 4))])
        [held] = self.claim('h', base.request('gpu'))
        others = [n for n in (1, 2, 3) if base.gpu(n).address != held.address]
        self.report('h', [*map(base.gpu, others)], withdrawn=[held.address])
        error = self.assertRaises(
            exception.ClaimRefused,
            self.claim,
            'h',
            base.request('gpu', count=3),
        )
        [reason] = error.reasons
        self.assertTrue(reason.detail.endswith(': 2 free, 1 withdrawn'))

    def test_host_down(self) -> None:
        self.report('h', [base.gpu(1)])
        self.useFixture(_Policy(store.Limits(0)))
        self.assertEqual(
            [('gpu', 'host_down', 1, 0)],
            self.refused('h', base.request('gpu')),
        )

    def test_unknown_host(self) -> None:
        self.assertRaises(
            exception.HostNotFound, self.claim, 'x', base.request('gpu')
        )

    def test_why_no_host(self) -> None:
        self.report('g', [base.gpu(1)])
        self.report('h', [base.gpu(1), base.gpu(2)])
        self.report('i', [])
        demands = resolving.demands(self.db, [base.request('gpu', count=2)])
        reasons = explanations.refusals(self.db, base.LIMITS, demands)
        self.assertEqual(
            [('g', 'too_few'), ('i', 'no_match')],
            [(r.host, r.condition) for r in reasons],
        )

    def test_malformed(self) -> None:
        self.report('h', [base.gpu(1)])
        for requests in (
            [],
            [base.request('gpu', count=0)],
            [base.request('gpu', count=-1)],
            [base.request('gpu', count=65)],
            [base.request()],
            [base.request('gpu', request_id='x' * 65)],
            [base.request(name, request_id='same') for name in ('gpu', 'vf')],
        ):
            self.assertRaises(
                exception.InvalidRequest, self.claim, 'h', *requests
            )
        self.assertRaises(
            exception.InvalidRequest,
            self.claim,
            'h',
            base.request('gpu'),
            instance_uuid='me',
        )


class PciFlavorUseTest(base.ClaimTest):
    """Claims by disabled, private, changed and deleted PCI flavors."""

    def setUp(self) -> None:
        super().setUp()
        self.report('h', [base.gpu(1)])

    def test_disabled(self) -> None:
        editing.update(self.db, 'gpu', {'state': 'disabled'})
        self.assertRaises(
            exception.InvalidRequest, self.claim, 'h', base.request('gpu')
        )
        editing.update(self.db, 'gpu', {'state': 'deprecated'})
        self.claim('h', base.request('gpu'))

    def test_disabled_alternative_is_passed_over(self) -> None:
        self.report('h', [base.gpu(1), *base.family(2, 1)])
        editing.update(self.db, 'vf', {'state': 'disabled'})
        (device,) = self.claim('h', base.request('vf', 'gpu'))
        self.assertEqual('10de', device.vendor_id)

    def test_who_holds_by_it_may_move(self) -> None:
        """Nova resolves the name again when it moves an instance."""
        self.report('other', [base.gpu(1), base.gpu(2)])
        asked = base.request('gpu')
        first = self.claim('h', asked, instance_uuid=self.owner)
        editing.update(
            self.db, 'gpu', {'state': 'disabled', 'is_public': False}
        )
        arguments = {'instance_uuid': self.owner, 'project_id': 'p'}
        again = self.claim('h', asked, **arguments)
        self.assertEqual([d.uuid for d in first], [d.uuid for d in again])
        (moved,) = self.claim('other', base.request('gpu'), **arguments)
        self.assertEqual('other', moved.host)
        self.assertRaises(
            exception.PciFlavorNotFound,
            self.claim,
            'other',
            base.request('gpu'),
            project_id='p',
        )

    def test_what_is_held_keeps_its_name(self) -> None:
        """Nova resolves the name again; it must mean the same."""
        self.claim('h', base.request('gpu'), instance_uuid=self.owner)
        error = self.assertRaises(
            exception.PciFlavorInUse,
            editing.update,
            self.db,
            'gpu',
            {'name': 'other'},
        )
        self.assertEqual(1, error.holders)
        self.assertEqual('gpu', flavor_lookup.get(self.db, 'gpu').name)
        self.free()
        editing.update(self.db, 'gpu', {'name': 'other'})

    def test_not_visible(self) -> None:
        editing.update(self.db, 'gpu', {'is_public': False})
        self.assertRaises(
            exception.PciFlavorNotFound,
            self.claim,
            'h',
            base.request('gpu'),
            project_id='p',
        )
        editing.update(self.db, 'gpu', {'access': ['p']})
        self.claim('h', base.request('gpu'), project_id='p')

    def test_by_uuid(self) -> None:
        flavor = flavor_lookup.get(self.db, 'gpu')
        (device,) = self.claim('h', base.request(flavor.uuid))
        self.assertEqual(flavor.uuid, device.pci_flavor_uuid)

    def test_in_use(self) -> None:
        self.claim('h', base.request('gpu'), instance_uuid=self.owner)
        error = self.assertRaises(
            exception.PciFlavorInUse, editing.delete, self.db, 'gpu'
        )
        self.assertEqual(1, error.holders)
        self.free()
        editing.delete(self.db, 'gpu')
        self.assertRaises(
            exception.PciFlavorNotFound, self.claim, 'h', base.request('gpu')
        )

    def test_deleted_while_it_is_claimed(self) -> None:
        for turn in range(8):
            name = f'turn{turn}'
            editing.create(self.db, name, None, match=[{'class': 'display'}])
            with futures.ThreadPoolExecutor(2) as pool:
                claiming = pool.submit(
                    self.claim,
                    'h',
                    base.request(name),
                    instance_uuid=self.owner,
                )
                deleting = pool.submit(editing.delete, self.db, name)
            errors = {type(claiming.exception()), type(deleting.exception())}
            self.assertIn(
                errors - {type(None)},
                (
                    {exception.PciFlavorNotFound},
                    {exception.PciFlavorInUse},
                ),
            )
            self.free()


class _Policy(fixtures.Fixture):
    """Sets another policy for the duration of a test."""

    def __init__(self, limits: store.Limits) -> None:
        super().__init__()
        self._policy = store.Policy(limits)

    def _setUp(self) -> None:
        self.addCleanup(setattr, base, 'POLICY', base.POLICY)
        base.POLICY = self._policy
