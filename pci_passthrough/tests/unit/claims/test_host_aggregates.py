# SPDX-License-Identifier: Apache-2.0
"""Host aggregates restrict alternatives to hosts."""

import dataclasses

import testtools

from pci_passthrough import claims
from pci_passthrough.specs import aggregate_metadata
from pci_passthrough.tests.unit import claims as made_up
from pci_passthrough.tests.unit.claims import test_supply_snapshot

_AGGREGATES = claims.HostAggregates.of(
    [
        (['blue', 'both'], {'customer': 'blue'}),
        (['both', 'red'], {'customer': 'red', 'rack': '7'}),
    ]
)


def _demand() -> claims.Demand:
    """Return ``a0|a1``, of which a0 is for the customer blue."""
    demand = made_up.want('a', 1, [1], [2])
    first, second = demand.alternatives
    conditions = aggregate_metadata.parse({'customer': 'blue'})
    first = dataclasses.replace(first, aggregates=conditions)
    return dataclasses.replace(demand, alternatives=(first, second))


class HostAggregatesTest(testtools.TestCase):
    def chosen(
        self, snapshot: claims.SupplySnapshot, host: str
    ) -> dict[int, int] | None:
        decision = snapshot.decide(host)
        return None if decision is None else dict(decision.picks[0].pools)

    def test_each_alternative_is_restricted_on_its_own(self) -> None:
        hosts = {
            name: made_up.Host().add(1, 1).add(2, 1)
            for name in ('blue', 'both', 'red', 'none')
        }
        hosts['poor'] = made_up.Host().add(1, 1)
        snapshot = test_supply_snapshot.snapshot_of(hosts, _demand())
        # It is not known here: the claim decides.
        self.assertEqual({1: 1}, self.chosen(snapshot, 'red'))
        received = test_supply_snapshot.through_json(snapshot)
        self.assertEqual(snapshot.demands, received.demands)
        known = dataclasses.replace(received, aggregates=_AGGREGATES)
        self.assertEqual(
            {
                'blue': {1: 1},
                'both': {1: 1},
                'red': {2: 1},
                'none': {2: 1},
                'poor': None,
            },
            {name: self.chosen(known, name) for name in hosts},
        )
        outside, none_free = known.reasons('poor')
        self.assertEqual('aggregate', outside.condition)
        self.assertEqual('customer: wanted "blue", found none', outside.detail)
        self.assertEqual('none_free', none_free.condition)
        # What one instance takes, the next one cannot have.
        decision = known.decide('red')
        assert decision is not None
        self.assertIsNone(known.consume('red', decision).decide('red'))

    def test_unknown_aggregates_serve_nobody(self) -> None:
        unknown = claims.HostAggregates({}, 'Nova is away')
        [demand] = claims.on_host([_demand()], 'blue', unknown)
        self.assertEqual(
            ['Nova is away', ''], [a.outside for a in demand.alternatives]
        )
