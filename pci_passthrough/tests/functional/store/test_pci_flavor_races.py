# SPDX-License-Identifier: Apache-2.0
"""Claims beside changes of the PCI flavors that they have resolved.

A claim that has resolved a PCI flavor must not be committed after a change of
it was, and a change that is refused to PCI flavors in use must see the claim.
"""

from collections.abc import Callable
from collections.abc import Mapping
from concurrent import futures
import threading
from typing import Any

import fixtures
import testscenarios

from pci_passthrough import claims
from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.store.claims import claiming
from pci_passthrough.store.claims import transitions
from pci_passthrough.store.pci_flavors import editing
from pci_passthrough.tests.functional.store import base

load_tests = testscenarios.load_tests_apply_scenarios

_SMALL, _BIG = {'size': 'small'}, {'size': 'big'}
_ROUNDS = 30


class _RacesTest(base.StoreTest):
    def setUp(self) -> None:
        super().setUp()
        self.other = self.open()
        self.report(
            'h',
            [base.gpu(1, extra_info=_SMALL), base.gpu(2, extra_info=_BIG)],
        )
        editing.create(
            self.db,
            'small',
            None,
            match=[{'e.size': 'small'}],
            is_public=False,
        )
        editing.share(self.db, 'small', 'mine', True)

    def claim_after(
        self, change: Callable[[], object] | None, owner: str
    ) -> list[objects.PciDevice]:
        """Claim; call a function after the PCI flavors were resolved."""

        def limits_of(project_id: str, names: object) -> Mapping[str, int]:
            nonlocal change
            call, change = change, None
            if call is not None:
                call()
            return {}

        request = claims.ClaimRequest(
            'h',
            owner,
            [base.request('small')],
            'test',
            project_id='mine',
            owner_project_id='mine',
        )
        return claiming.claim(self.db, base.POLICY, request, limits_of)

    def change(self, values: Mapping[str, Any]) -> None:
        editing.update(self.other, 'small', values)

    def rename(self) -> None:
        self.change({'name': 'renamed'})

    def edit(self) -> None:
        self.change({'match': [{'e.size': 'big'}]})

    def unshare(self) -> None:
        editing.share(self.other, 'small', 'mine', False)

    def disable(self) -> None:
        self.change({'state': 'disabled'})


class OvertakenTest(_RacesTest):
    """The change is committed between the resolving and the claim."""

    def test_renamed(self) -> None:
        self.assertRaises(
            exception.PciFlavorNotFound,
            self.claim_after,
            self.rename,
            base.new_id(),
        )

    def test_not_shared_any_more(self) -> None:
        self.assertRaises(
            exception.PciFlavorNotFound,
            self.claim_after,
            self.unshare,
            base.new_id(),
        )

    def test_disabled(self) -> None:
        self.assertRaises(
            exception.InvalidRequest,
            self.claim_after,
            self.disable,
            base.new_id(),
        )

    def test_matches_others(self) -> None:
        [claimed] = self.claim_after(self.edit, base.new_id())
        self.assertEqual(_BIG, claimed.extra_info)

    def test_described(self) -> None:
        """A change that does not matter costs another try, no more."""
        [claimed] = self.claim_after(
            lambda: self.change({'description': 'new'}), base.new_id()
        )
        self.assertEqual(_SMALL, claimed.extra_info)

    def test_unsafe_claims_are_overtaken(self) -> None:
        """The control: what happens if a claim does not look again."""
        self.useFixture(
            fixtures.MonkeyPatch(
                f'{claiming.__name__}._lock_resolved', lambda *_: None
            )
        )
        for change in (self.edit, self.unshare, self.disable, self.rename):
            owner = base.new_id()
            [claimed] = self.claim_after(change, owner)
            self.assertEqual(_SMALL, claimed.extra_info)
            transitions.free(self.db, owner, 'test')
            if change != self.rename:
                editing.update(
                    self.other,
                    'small',
                    {
                        'match': [{'e.size': 'small'}],
                        'state': 'active',
                        'access': ['mine'],
                    },
                )


class TogetherTest(_RacesTest):
    """Both begin at the same time, again and again."""

    def race(self, change: Callable[[], object]) -> tuple[bool, bool]:
        """Claim and change; return which of both was done."""
        owner, start = base.new_id(), threading.Barrier(2)

        def do(call: Callable[[], object]) -> bool:
            start.wait()
            try:
                call()
            except (
                exception.PciFlavorInUse,
                exception.PciFlavorNotFound,
                exception.ClaimRefused,
            ):
                return False
            return True

        with futures.ThreadPoolExecutor(2) as pool:
            changing = pool.submit(do, change)
            claiming = pool.submit(do, lambda: self.claim_after(None, owner))
            done = claiming.result(), changing.result()
        transitions.free(self.db, owner, 'test')
        return done

    def test_renamed(self) -> None:
        for _ in range(_ROUNDS):
            claimed, renamed = self.race(self.rename)
            self.assertNotEqual(claimed, renamed)
            if renamed:
                editing.update(self.db, 'renamed', {'name': 'small'})

    def test_matches_nothing_any_more(self) -> None:
        for _ in range(_ROUNDS):
            claimed, changed = self.race(
                lambda: self.change({'match': [{'e.size': 'none'}]})
            )
            self.assertNotEqual(claimed, changed)
            if changed:
                editing.update(
                    self.db, 'small', {'match': [{'e.size': 'small'}]}
                )
