# SPDX-License-Identifier: Apache-2.0
"""Decides which devices that entries match are refused, and why. Pure."""

from collections.abc import Mapping
from collections.abc import Sequence

from pci_passthrough.discovery import deliverable
from pci_passthrough.discovery import host_facts
from pci_passthrough.discovery import resources
from pci_passthrough.objects import recordable
from pci_passthrough.specs import pci_information as pci_information_module


def reasons(
    matches: Mapping[str, deliverable.Match],
    fittings: Mapping[str, recordable.Fitting],
    uses: Mapping[str, str] | None,
    functions: Mapping[str, host_facts.Function],
    unusable: Mapping[str, str],
    others: resources.Resources,
) -> dict[str, list[str]]:
    """Return all reasons to refuse each matched device, by address.

    :param matches: the devices of all types that entries match, by address.
    :param fittings: their recordable forms.
    :param uses: see ``scan.classify``, as the others.
    """
    texts = _reasons_of_the_host(
        matches, fittings, uses, {**unusable, **others.refusals}
    )
    _refuse_parts_and_wholes(texts, matches, functions, others)
    _refuse_undeliverable(texts, matches, functions, others, uses)
    return texts


def _reasons_of_the_host(
    matches: Mapping[str, deliverable.Match],
    fittings: Mapping[str, recordable.Fitting],
    uses: Mapping[str, str] | None,
    obstacles: Mapping[str, str],
) -> dict[str, list[str]]:
    """Return why the host keeps each matched device, by address."""
    return {
        address: [obstacles[address]]
        if address in obstacles
        else _reasons_to_keep(
            entry, (uses or {}).get(address), fittings[address].obstacle
        )
        for address, (_, entry) in matches.items()
    }


def _refuse_parts_and_wholes(
    reasons: dict[str, list[str]],
    matches: Mapping[str, deliverable.Match],
    functions: Mapping[str, host_facts.Function],
    others: resources.Resources,
) -> None:
    """Add the reasons that the other types and ``count`` give, in place."""
    parts = others.addresses
    _add(
        reasons,
        resources.reasons_by_count(
            {address: matches[address] for address in parts & matches.keys()},
            _refused(reasons),
            others.limits_itself,
        ),
    )
    offered = (parts & reasons.keys()) - _refused(reasons)
    _add(
        reasons,
        resources.reasons_given_in_parts(others.found, offered, functions),
    )


def _refuse_undeliverable(
    reasons: dict[str, list[str]],
    matches: Mapping[str, deliverable.Match],
    functions: Mapping[str, host_facts.Function],
    others: resources.Resources,
    uses: Mapping[str, str] | None,
) -> None:
    """Add why no guest can have PCI functions, in place.

    A function that is refused by ``count`` can keep others of its IOMMU group
    from guests, so that these are looked at once more.
    """
    parts = others.addresses
    whole = {a: match for a, match in matches.items() if a not in parts}

    def undeliverable() -> dict[str, str]:
        return deliverable.reasons_undeliverable(
            whole,
            _refused(reasons),
            functions,
            sysfs_is_read=uses is not None,
        )

    for address, reason in undeliverable().items():
        if matches[address][1].allow_in_use:
            reason = f'{reason}; "allow_in_use" does not change this'
        reasons[address].append(reason)
    by_count = resources.reasons_by_count(whole, _refused(reasons), ())
    _add(reasons, by_count)
    if by_count:
        refused = _refused(reasons)
        _add(
            reasons,
            {a: r for a, r in undeliverable().items() if a not in refused},
        )


def _refused(reasons: Mapping[str, Sequence[str]]) -> set[str]:
    return {address for address, texts in reasons.items() if texts}


def _add(reasons: dict[str, list[str]], more: Mapping[str, str]) -> None:
    """Add reasons about matched devices, in place."""
    for address, reason in more.items():
        if address in reasons:
            reasons[address].append(reason)


def _reasons_to_keep(
    entry: pci_information_module.Entry, use: str | None, obstacle: str | None
) -> list[str]:
    """Return why a device stays on the host that a guest could have."""
    if obstacle is not None:
        return [f'it cannot be recorded: {obstacle}']
    return [] if use is None or entry.allow_in_use else [use]
