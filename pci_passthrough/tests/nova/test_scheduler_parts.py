# SPDX-License-Identifier: Apache-2.0
"""Parts of the filter and the weigher, without a cloud."""

import types
from typing import Any

import fixtures
import testtools

from pci_passthrough import claims
from pci_passthrough import exception
from pci_passthrough.nova_plugin import elsewhere
from pci_passthrough.nova_plugin import weigher


def _loss(whole: int) -> claims.Loss:
    return claims.Loss(0, (0,), whole, 0, 0)


class WeightsTest(testtools.TestCase):
    def test_by_loss(self) -> None:
        for losses, expected in (
            ([_loss(0), _loss(2), _loss(1)], [1.0, 0.0, 0.5]),
            ([_loss(1), None, _loss(1)], [1.0, 0.0, 1.0]),
            ([_loss(3), _loss(3)], [0.0, 0.0]),
            ([None], [0.0]),
            ([], []),
        ):
            self.assertEqual(expected, weigher._by_loss(losses))

    def test_equal_hosts_of_different_multipliers(self) -> None:
        """An aggregate's multiplier does not prefer one of equal hosts."""
        pci_weigher: Any = object.__new__(weigher.PciFlavorWeigher)
        plain = types.SimpleNamespace(pci_requests=None)
        hosts = [
            types.SimpleNamespace(obj=types.SimpleNamespace(host=name))
            for name in ('c0', 'c1')
        ]
        self.useFixture(
            fixtures.MonkeyPatch(
                f'{weigher.__name__}._options',
                lambda: types.SimpleNamespace(hosts_with_devices_interval=1),
            )
        )
        for avoided, expected in (
            (set(), [0.0, 0.0]),
            ({'c0', 'c1'}, [0.0, 0.0]),
            ({'c0'}, [0.0, 1.0]),
        ):
            pci_weigher._hosts = types.SimpleNamespace(
                get=lambda _interval, avoided=avoided: avoided
            )
            self.assertEqual(expected, pci_weigher.weigh_objects(hosts, plain))


class SearchTest(testtools.TestCase):
    """The search among all hosts takes a bounded share of the time."""

    def setUp(self) -> None:
        super().setUp()
        self.useFixture(fixtures.FakeLogger())
        self.now = 100.0
        self.searches = 0
        self.search = elsewhere.Search()
        self.useFixture(
            fixtures.MonkeyPatch(
                f'{elsewhere.__name__}.time.monotonic', lambda: self.now
            )
        )

    def offer(self) -> Any:
        self.now += 0.5
        self.searches += 1
        raise exception.ConductorUnavailable('none answered')

    def refuse(self, **spec: Any) -> int:
        """Refuse an instance; return the number of searches until now."""
        self.assertEqual({}, self.search.find(_Spec(spec), (), self.offer))
        return self.searches

    def test_pause(self) -> None:
        """Also after one that had no answer."""
        self.assertEqual([1, 1, 1], [self.refuse() for _ in range(3)])
        self.now += 9.9
        self.assertEqual(1, self.refuse())
        self.now += 0.2
        self.assertEqual(2, self.refuse())

    def test_one_host(self) -> None:
        for spec in (
            {'force_hosts': ['c0']},
            {'force_nodes': ['c0']},
            {'requested_destination': _Spec({'host': 'c0'})},
        ):
            self.assertEqual(0, self.refuse(**spec))
        cell = {'requested_destination': _Spec({'cell': 'one'})}
        self.assertEqual(1, self.refuse(**cell))


class _Spec:
    """An object of Nova, some fields of which are set."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.__dict__.update(values)

    def __contains__(self, name: str) -> bool:
        return name in self.__dict__
