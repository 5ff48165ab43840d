# SPDX-License-Identifier: Apache-2.0
"""Refusals in the words that projects may read: no hosts, no numbers. Pure.

The REST API uses them in explanations and refusals, and nova-scheduler in the
fault of a server.
"""

from collections.abc import Iterable
import dataclasses
import shlex
from typing import Final

from pci_passthrough.claims import refusal
from pci_passthrough.objects import fields
from pci_passthrough.objects import recordable

_C = fields.RefusalCondition

#: A condition of the PCI flavor itself, whatever the hosts have.
DISABLED: Final = fields.PciFlavorState.DISABLED

#: The text of each condition for projects. Their order is that in which the
#: conditions are decided: the last one that failed on some host is the
#: nearest to success.
TEXTS: Final = {
    DISABLED: 'The PCI flavor is disabled and takes no new requests.',
    _C.OTHER: 'The devices of the cloud could not be looked up.',
    _C.NO_MATCH: 'The cloud has no such device.',
    _C.HOST_DOWN: 'Hosts that may have such devices are down.',
    _C.ALL_HELD: 'No device is free.',
    _C.TOO_FEW: 'Some devices are free, but too few on any one host.',
    _C.NUMA: 'Devices are free, but not on NUMA nodes that the NUMA policy '
    'allows.',
    _C.QUOTA_EXCEEDED: 'The project may hold no more such devices: its limit '
    'is reached.',
    _C.ELSEWHERE: 'Devices are free on hosts that were not considered for '
    'the server.',
}

#: The condition that projects see in place of another, so that they cannot
#: tell these apart.
_SEEN_AS = {
    _C.AGGREGATE: _C.NO_MATCH,
    _C.NONE_FREE: _C.ALL_HELD,
    _C.REFUSED: _C.ALL_HELD,
    _C.SHARED: _C.TOO_FEW,
    _C.HOST_UNKNOWN: _C.HOST_DOWN,
    _C.TRACKER_DOWN: _C.HOST_DOWN,
}

#: The conditions of a PCI flavor that are decided one after the other, with
#: the text of each one that is fulfilled.
_STEPS = {
    DISABLED: 'The PCI flavor takes new requests.',
    _C.NO_MATCH: 'The cloud has such devices.',
    _C.ALL_HELD: 'Some devices are free.',
    _C.TOO_FEW: 'Enough devices are free on one host.',
}

#: Bytes of a fault that Nova keeps, without its own words before ours.
_LONGEST_SENTENCE = 225

#: Characters of a PCI flavor's name in a fault: with any of the texts it fits.
_LONGEST_NAME = 32


@dataclasses.dataclass(frozen=True, slots=True)
class Reason:
    """A reason of a refusal, for projects.

    :ivar condition: one of ``TEXTS``.
    :ivar pci_flavor: the name of the PCI flavor that it is about; empty if
        it is about none.
    """

    condition: str
    pci_flavor: str = ''

    @property
    def text(self) -> str:
        """The reason in words."""
        return TEXTS[self.condition]


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """A condition of an explanation, for projects.

    :ivar condition: one of ``TEXTS``.
    :ivar fulfilled: whether some host fulfils it; None if it was not decided.
    """

    condition: str
    fulfilled: bool | None

    @property
    def text(self) -> str:
        """The condition in words, as it would be if it were fulfilled."""
        return _STEPS[self.condition]


def steps(conditions: Iterable[str], is_served: bool) -> list[Step]:
    """Return the conditions of a PCI flavor in order, up to the nearest host.

    :param conditions: those that failed on hosts, and ``DISABLED``.
    :param is_served: whether a host serves the request.
    """
    failed = in_order(conditions)
    nearest = next((c for c in reversed(failed) if c in _STEPS), None)
    if DISABLED in failed:
        nearest = DISABLED
    elif is_served:
        nearest = None
    elif _C.HOST_DOWN in failed and nearest in (None, _C.NO_MATCH):
        # Hosts that are down may have some.
        return [Step(c, True if c == DISABLED else None) for c in _STEPS]
    elif not failed:
        nearest = _C.NO_MATCH
    told = []
    fulfilled: bool | None = True
    for condition in _STEPS:
        if condition == nearest:
            told.append(Step(condition, False))
            fulfilled = None
        else:
            told.append(Step(condition, fulfilled))
    return told


def condition_of(condition: str) -> str:
    """Return the condition that projects see in place of one."""
    seen = _SEEN_AS.get(condition, condition)
    return seen if seen in TEXTS else _C.OTHER


def in_order(conditions: Iterable[str]) -> list[str]:
    """Return the conditions that projects see, each once, in their order."""
    seen = set(map(condition_of, conditions))
    return [condition for condition in TEXTS if condition in seen]


def reasons(failed: Iterable[tuple[str, str]]) -> list[Reason]:
    """Return the nearest reason for each PCI flavor.

    :param failed: conditions that failed on hosts, each with the name of the
        PCI flavor that it is about, or an empty text.
    :returns: conditions of hosts only if there is nothing else to say; last
        the condition ``elsewhere``.
    """
    by_flavor: dict[str, list[str]] = {}
    for condition, pci_flavor in failed:
        by_flavor.setdefault(pci_flavor, []).append(condition)
    of_hosts = in_order(by_flavor.pop('', ()))
    nearest = [
        Reason(in_order(conditions)[-1], pci_flavor)
        for pci_flavor, conditions in by_flavor.items()
    ]
    if not nearest or of_hosts[-1:] == [_C.ELSEWHERE]:
        nearest += map(Reason, of_hosts[-1:])
    return nearest


def sentence(failed: Iterable[refusal.FailedCondition]) -> str:
    """Return the text for the fault of a server that found no host.

    It fits into the 255 bytes that Nova keeps, whatever the names.
    """
    parts = []
    told = reasons((item.condition, item.pci_flavor) for item in failed)
    for reason in told:
        if reason.pci_flavor:
            name = recordable.cut(reason.pci_flavor, _LONGEST_NAME)
            parts.append(f'PCI flavor {name}: {reason.text}')
        else:
            parts.append(reason.text)
    asked = next((r.pci_flavor for r in told if r.pci_flavor), None)
    if asked is not None:
        command = f'openstack pci flavor explain {shlex.quote(asked)}'
        parts.append(f"See '{command}'.")
    text = ''
    for part in parts:
        longer = f'{text} {part}'.strip()
        if len(longer.encode()) <= _LONGEST_SENTENCE:
            text = longer
    return text
