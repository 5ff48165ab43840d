# SPDX-License-Identifier: Apache-2.0
"""Finds what is valid, but probably not what the operator meant. Pure.

``of_entries`` looks at pci_information, ``of_sections`` at the sections and
names of options in a configuration file. ``import-nova`` and the agent's dry
run print the findings.
"""

from collections.abc import Collection
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import difflib
import re

from pci_passthrough.specs import address
from pci_passthrough.specs import condition as condition_spec
from pci_passthrough.specs import extra_info
from pci_passthrough.specs import pattern
from pci_passthrough.specs import pci_information

#: Similarity from which a name counts as a misspelling of another one.
_CUTOFF = 0.85

#: The beginning of a value of an option that this module knows: JSON, or a
#: word for yes or no.
_KNOWN_VALUE = re.compile(
    r'\s*([\[{]|(true|false|yes|no|on|off|1|0)\s*\Z)', re.IGNORECASE
)

#: The patterns of an address that every device has.
_ANY_ADDRESS = frozenset({address.parse('*')})


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """A report to the operator about something that they wrote."""

    #: option and entry, or PCI flavor
    where: str
    #: the key in question; None means the whole entry
    key: str | None
    #: what is wrong or has no equivalent, and its consequence
    problem: str
    #: what the operator can do
    advice: str
    #: whether this is surely not what the operator meant
    is_mistake: bool = False

    def __str__(self) -> str:
        key = f'key {self.key!r}: ' if self.key is not None else ''
        return f'{self.where}: {key}{self.problem}; {self.advice}'


def of_entries(
    entries: Sequence[pci_information.Entry], places: Sequence[str]
) -> list[Finding]:
    """Return the findings about entries of pci_information.

    :param entries: all entries, in the order in which they decide.
    :param places: the place of each entry, for people.
    """
    findings = []
    for index, (entry, place) in enumerate(zip(entries, places, strict=True)):
        for earlier, of_earlier in zip(entries[:index], places, strict=False):
            if _covers(earlier, entry):
                findings.append(_covered(entry, place, earlier, of_earlier))
                break
        for key in entry.extra_info:
            near = extra_info.nearest(key)
            if near is not None:
                findings.append(_misspelt_tag(place, key, near))
    return findings


def _covered(
    entry: pci_information.Entry,
    place: str,
    earlier: pci_information.Entry,
    of_earlier: str,
) -> Finding:
    effect = 'excludes no device' if entry.exclude else 'offers no device'
    return Finding(
        place,
        None,
        f'{effect}: an earlier entry decides about every device that this '
        f'entry matches: {of_earlier}',
        'move this entry before the earlier one, or remove it',
        is_mistake=not _has_same_effect(earlier, entry),
    )


def _misspelt_tag(place: str, key: str, near: str) -> Finding:
    return Finding(
        place,
        key,
        f'a tag of this name has no effect in Nova: did you mean {near!r}?',
        'correct the name, or use a less similar one for a tag of your own',
        is_mistake=True,
    )


def _has_same_effect(
    entry: pci_information.Entry, other: pci_information.Entry
) -> bool:
    return (
        entry.exclude,
        entry.allow_in_use,
        entry.handlers,
        entry.count,
        dict(entry.extra_info),
    ) == (
        other.exclude,
        other.allow_in_use,
        other.handlers,
        other.count,
        dict(other.extra_info),
    )


def _covers(
    earlier: pci_information.Entry, entry: pci_information.Entry
) -> bool:
    """Return whether an entry matches all that another one can match.

    Globs and regular expressions are compared by their spelling only, so
    False means that it is not known.
    """
    conditions = {condition.key: condition for condition in entry.match}
    return earlier.resource_type == entry.resource_type and all(
        condition.patterns == _ANY_ADDRESS
        or (
            condition.key in conditions
            and _includes(condition, conditions[condition.key])
        )
        for condition in earlier.match
    )


def _includes(
    wide: condition_spec.Condition, narrow: condition_spec.Condition
) -> bool:
    """Return whether a condition accepts all values of another one.

    An exact address or devname also stands for virtual functions, which a
    glob does not; so only the same exact value includes it.
    """
    stands_for_others = wide.key in ('address', 'devname')
    return all(
        accepted in wide.patterns
        or (
            isinstance(accepted, pattern.Exact)
            and not stands_for_others
            and wide.accepts(accepted.text)
        )
        for accepted in narrow.patterns
    )


def of_sections(
    file: str,
    sections: Mapping[str, Mapping[str, Sequence[str]]],
    places: Mapping[str, Collection[str]],
) -> list[Finding]:
    """Return the findings about options that no program reads.

    oslo.config ignores an option in a section that it does not know, and it
    takes ``[default]`` for another section than ``[DEFAULT]``. The case of
    other sections does not count.

    :param file: the configuration file.
    :param sections: the values by section and option, as they are written.
    :param places: option to the sections in which a program reads it, the
        preferred one first.
    """
    findings = []
    for section, options in sections.items():
        for name, values in options.items():
            if _effective(section) in places.get(name, ()):
                continue
            meant = _nearest(name, places)
            if meant is None or not any(map(_KNOWN_VALUE.match, values)):
                continue
            where = f'[{_nearest_section(section, places[meant])}] {meant}'
            findings.append(
                Finding(
                    f'{file}: [{section}] {name}',
                    None,
                    'has no effect: it is not read from there; did you mean '
                    f'{where}?',
                    'correct the names of section and option',
                    is_mistake=True,
                )
            )
    return findings


def _effective(section: str) -> str:
    """Return the name that a section has for oslo.config."""
    return section if section == 'DEFAULT' else section.lower()


def _nearest(name: str, names: Collection[str]) -> str | None:
    folded = name.strip().lower().replace('-', '_')
    near = difflib.get_close_matches(folded, names, n=1, cutoff=_CUTOFF)
    return near[0] if near else None


def _nearest_section(section: str, sections: Collection[str]) -> str:
    by_folded = {name.lower(): name for name in sections}
    near = _nearest(section, by_folded)
    return next(iter(sections)) if near is None else by_folded[near]
