# SPDX-License-Identifier: Apache-2.0
"""Decides which verdicts follow from one scan, or from two in doubt.

``agreed`` and ``is_doubtful`` decide and are pure; ``scan_twice_in_doubt``
calls what scans.
"""

from collections.abc import Callable
import dataclasses

from pci_passthrough.discovery import scan as scan_module


@dataclasses.dataclass(frozen=True, slots=True)
class Agreement:
    """The verdicts that follow from one or two scans."""

    scan: scan_module.Scan
    #: False if the two scans contradict each other: scan again at once
    is_settled: bool = True


def scan_twice_in_doubt(
    before: scan_module.Scan | None, scan_once: Callable[[], scan_module.Scan]
) -> Agreement:
    """Scan, and scan a second time at once if the first scan is doubtful.

    :param before: the result of the last ``Agreement``, None if there is none.
    """
    first = scan_once()
    if not is_doubtful(before, first):
        return Agreement(first)
    return agreed(before, first, scan_once())


def is_doubtful(
    before: scan_module.Scan | None, scan: scan_module.Scan
) -> bool:
    """Return whether a scan must be repeated before it counts. Pure.

    A scan is doubtful if it could not tell whether the host uses a device, or
    if it does not offer an existing device that was offered before.
    """
    if any(item.is_undecided for item in scan.refused):
        return True
    return not _offers(before).keys().isdisjoint(scan.withdrawn)


def agreed(
    before: scan_module.Scan | None,
    first: scan_module.Scan,
    second: scan_module.Scan,
) -> Agreement:
    """Return the verdicts after two scans, one directly after the other. Pure.

    The second scan counts. But a device that was offered before stays offered
    unless both scans withdraw it: a single look can hit a moment in which
    something changes. A device that is absent from the second scan is absent.
    """
    offered = _offers(second)
    first_offers = _offers(first)
    kept = {
        address: first_offers[address]
        for address in second.withdrawn
        if address in first_offers and address in _offers(before)
    }
    offered.update(kept)
    agreement = scan_module.Scan(
        offered=[offered[address] for address in sorted(offered)],
        refused=[
            item
            for item in second.refused
            if str(item.device.address) not in kept
        ],
        others=scan_module.without(second.others, kept),
        use_unknown=second.use_unknown,
        find_idle=second.find_idle,
        unusable=scan_module.without(second.unusable, kept),
    )
    contradictory = first_offers.keys() & set(second.withdrawn) | (
        _offers(second).keys() & set(first.withdrawn)
    )
    return Agreement(agreement, is_settled=not contradictory)


def _offers(scan: scan_module.Scan | None) -> dict[str, scan_module.Offered]:
    """Return the offered devices of a scan by address."""
    if scan is None:
        return {}
    return {str(item.device.address): item for item in scan.offered}
