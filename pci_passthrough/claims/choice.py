# SPDX-License-Identifier: Apache-2.0
"""Chooses concrete devices from the pools that a decision names."""

import collections
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses

from pci_passthrough import objects
from pci_passthrough.claims import decision as decision_mod
from pci_passthrough.claims import supply as supply_mod

#: ``pack`` fills a physical function before it takes VFs of another one,
#: ``spread`` takes VFs of the least used physical function.
PACK = 'pack'
SPREAD = 'spread'
VF_PLACEMENTS = (PACK, SPREAD)

#: ``Family.pf`` and ``Family.vfs``, which are equal for families alike.
_Shape = tuple[int, tuple[tuple[int, int], ...]]


@dataclasses.dataclass(frozen=True, slots=True)
class Candidate:
    """A device of one host that can be given away.

    :ivar device_id: the caller's identifier of the device.
    :ivar key_id: pool key id.
    :ivar address: ``dddd:bb:ss.f``.
    :ivar pf_address: the address of the physical function that the device is
        or belongs to; None for a device without SR-IOV.
    :ivar is_pf: whether the device is a physical function.
    :ivar features: number of capabilities; devices with fewer go first.
    :ivar failed_starts: guests in a row that could not be started with it;
        devices with fewer go first.
    """

    device_id: int
    key_id: int
    address: str
    pf_address: str | None = None
    is_pf: bool = False
    features: int = 0
    failed_starts: int = 0


def supply_of(candidates: Iterable[Candidate]) -> supply_mod.Supply:
    """Count candidates of one host by pool key and family."""
    grouped = _by_family(candidates)
    free: collections.Counter[int] = collections.Counter()
    alike: collections.Counter[_Shape] = collections.Counter()
    for members in grouped.values():
        shape = _family_shape(members)
        if shape is None:
            free.update(member.key_id for member in members)
        else:
            alike[shape] += 1
    families = tuple(
        supply_mod.Family(pf, vfs, count)
        for (pf, vfs), count in sorted(alike.items())
    )
    return supply_mod.Supply(dict(free), families)


def proven_supply_of(
    candidates: Sequence[Candidate],
) -> supply_mod.Supply | None:
    """Count the candidates of one host that have no failed starts.

    :returns: None if these are all of them.
    """
    proven = [device for device in candidates if not device.failed_starts]
    return supply_of(proven) if len(proven) < len(candidates) else None


def decide_among(
    candidates: Sequence[Candidate],
    demands: Sequence[decision_mod.Demand],
    get_key: decision_mod.GetKey,
    numa: objects.NumaAffinity | None = None,
    room: decision_mod.Room = decision_mod.NO_LIMITS,
) -> decision_mod.Decision | None:
    """Decide how candidates serve demands; see ``decide_sparing``."""
    return decision_mod.decide_sparing(
        supply_of(candidates),
        proven_supply_of(candidates),
        demands,
        get_key,
        numa,
        room,
    )


def choose(
    candidates: Sequence[Candidate],
    decision: decision_mod.Decision,
    held_vfs: Mapping[str, int],
    vf_placement: str = PACK,
) -> dict[str, list[Candidate]]:
    """Choose devices for a decision made on all or the proven candidates.

    :param candidates: the host's devices that can be given away, including
        physical functions that no request asks for: only those among the
        candidates are kept whole.
    :param decision: how many devices of each pool each request gets.
    :param held_vfs: PF address to number of its virtual functions that are
        held already.
    :param vf_placement: one of ``VF_PLACEMENTS``.
    :returns: request id to devices.
    """
    if decision.supply == proven_supply_of(candidates):
        candidates = [c for c in candidates if not c.failed_starts]
    families = _by_family(candidates)
    opened = _families_to_open(families, decision)
    left = [
        candidate
        for address, members in families.items()
        for candidate in members
        if _family_shape(members) is None
        or candidate.is_pf == (address in opened)
    ]
    whole = {c.pf_address for c in candidates if c.is_pf} - opened
    used = collections.Counter(held_vfs)
    chosen: dict[str, list[Candidate]] = {}
    for pick in decision.picks:
        devices = chosen.setdefault(pick.demand.request_id, [])
        for key_id, count in sorted(pick.pools.items()):
            for _ in range(count):
                best = min(
                    (c for c in left if c.key_id == key_id),
                    key=lambda c: _order(c, used, whole, vf_placement),
                )
                left.remove(best)
                devices.append(best)
                if best.pf_address is not None:
                    used[best.pf_address] += 1
    return chosen


def _order(
    candidate: Candidate,
    used: Mapping[str, int],
    whole: set[str | None],
    vf_placement: str,
) -> tuple[int, bool, int, int, str]:
    """Return the sort key of a candidate; the lowest goes first.

    Under either placement, virtual functions of a physical function that
    could still be given away whole go last.
    """
    pf = candidate.pf_address
    count = used.get(pf, 0) if pf is not None else 0
    breaks_pf = not candidate.is_pf and pf in whole and not count
    if vf_placement == PACK:
        count = -count
    return (
        candidate.failed_starts,
        breaks_pf,
        count,
        candidate.features,
        candidate.address,
    )


def _by_family(
    candidates: Iterable[Candidate],
) -> dict[str, list[Candidate]]:
    grouped: dict[str, list[Candidate]] = collections.defaultdict(list)
    for candidate in candidates:
        grouped[candidate.pf_address or candidate.address].append(candidate)
    return grouped


def _family_shape(
    members: Sequence[Candidate],
) -> _Shape | None:
    """Return (PF's key, VFs by key), or None if these are no family.

    A single device is none, nor are virtual functions whose physical function
    is no candidate.
    """
    pfs = [member.key_id for member in members if member.is_pf]
    vfs = collections.Counter(m.key_id for m in members if not m.is_pf)
    if not pfs or not vfs:
        return None
    return pfs[0], tuple(sorted(vfs.items()))


def _families_to_open(
    families: Mapping[str, Sequence[Candidate]],
    decision: decision_mod.Decision,
) -> set[str | None]:
    """Return the addresses of physical functions that are given as a whole.

    Among equal families the physical function with the fewest failed starts
    goes first, and of these the least featured one.
    """
    by_shape: dict[_Shape | None, list[tuple[tuple[int, int], str]]] = (
        collections.defaultdict(list)
    )
    for address, members in families.items():
        rank = min(
            ((m.failed_starts, m.features) for m in members if m.is_pf),
            default=(0, 0),
        )
        by_shape[_family_shape(members)].append((rank, address))
    return {
        address
        for family, count in zip(
            decision.supply.families, decision.opened, strict=True
        )
        for _, address in sorted(by_shape[family.pf, family.vfs])[:count]
    }
