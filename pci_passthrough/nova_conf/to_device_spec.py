# SPDX-License-Identifier: Apache-2.0
"""Translates pci_information to Nova's ``[pci] device_spec``. Pure.

Nova has no excluding entries and fewer conditions, so that some entries have
no equivalent. No device is offered to Nova that is not offered here: an
entry that could offer a device of an earlier, excluding entry is held back.
"""

from collections.abc import Sequence
import dataclasses
import itertools
import json
import math
from typing import Any

from oslo_utils import strutils

from pci_passthrough import exception
from pci_passthrough import nova_conf
from pci_passthrough.nova_conf import expansion
from pci_passthrough.nova_conf import placement_names
from pci_passthrough.specs import condition as condition_spec
from pci_passthrough.specs import lint
from pci_passthrough.specs import pci_flavor
from pci_passthrough.specs import pci_information

#: Match keys that Nova has, too.
_KEYS = ('vendor_id', 'product_id', 'address', 'devname')

#: Tags that Nova parses as yes or no; nova-compute does not start with other
#: values.
_FLAGS = ('managed', 'live_migratable')

#: Tags with another meaning in Nova: ``nova.pci.stats`` and
#: ``nova.pci.devspec`` use these keys.
_RESERVED = frozenset(
    {
        'remote_managed',
        'one_time_use',
        'count',
        'devices',
        'rp_uuid',
        'rp_uuids',
        'parent_ifname',
    }
)


@dataclasses.dataclass(frozen=True, slots=True)
class Line:
    """One value of ``device_spec``."""

    text: str
    #: the reason to write the value as a comment; None to write it as it is
    held_back: str | None


def translate(
    values: Sequence[nova_conf.OptionValue],
) -> tuple[list[Line], list[lint.Finding]]:
    """Return the equivalent values of device_spec.

    :param values: the values of pci_information, in order.
    :returns: JSON documents, and findings about the rest.
    :raises exception.InvalidConfiguration: for the first invalid entry.
    """
    lines: list[Line] = []
    findings: list[lint.Finding] = []
    excluded: list[pci_information.Entry] = []
    for value in values:
        entry = _parse(value)
        if entry.exclude:
            excluded.append(entry)
            findings.append(
                lint.Finding(
                    str(value),
                    'exclude',
                    'left out: Nova has no excluding entries',
                    'check which later entries were held back therefore',
                )
            )
            continue
        translator = _EntryTranslator(value, entry, findings)
        lines += translator.lines(
            next((e for e in excluded if _may_overlap(entry, e)), None)
        )
    return lines, findings


def _parse(value: nova_conf.OptionValue) -> pci_information.Entry:
    try:
        information = pci_information.PciInformation.parse([value.text])
    except exception.InvalidPciInformation as error:
        raise exception.InvalidConfiguration(
            f'{value.file}: {error}'
        ) from error
    return information.entries[0]


def _may_overlap(
    entry: pci_information.Entry, other: pci_information.Entry
) -> bool:
    """Return False only if certainly no device matches both entries."""
    others = {condition.key: condition for condition in other.match}
    for condition in entry.match:
        if condition.key not in ('vendor_id', 'product_id'):
            continue
        try:
            ids = expansion.expand_ids(condition)
        except ValueError:
            continue
        if (
            ids is not None
            and condition.key in others
            and not others[condition.key].accepted(set(ids))
        ):
            return False
    return True


@dataclasses.dataclass(frozen=True, slots=True)
class _EntryTranslator:
    """Translates one entry; reports what has no equivalent."""

    value: nova_conf.OptionValue
    entry: pci_information.Entry
    findings: list[lint.Finding]

    def lines(self, excluding: pci_information.Entry | None) -> list[Line]:
        """Return the equivalent values, an empty list if there are none.

        :param excluding: an earlier, excluding entry that may match some of
            the same devices.
        """
        specs = self._specs()
        held_back = None
        if specs and excluding is not None:
            held_back = f'would offer excluded devices: {excluding.text}'
            self._report(
                None,
                f'held back, written as a comment: it {held_back}',
                'write entries that do not match the excluded devices',
            )
        tags = self._tags() if specs else {}
        return [Line(json.dumps(spec | tags), held_back) for spec in specs]

    def _report(self, key: str | None, problem: str, advice: str) -> None:
        self.findings.append(
            lint.Finding(str(self.value), key, problem, advice)
        )

    def _report_left_out(self, key: str | None, reason: str) -> None:
        self._report(
            key,
            f'the entry was left out: {reason}',
            'match vendor_id, product_id and address instead, if possible',
        )

    def _specs(self) -> list[dict[str, Any]]:
        """Return the objects that Nova matches, one per combination."""
        alternatives = []
        if self.entry.count is not None:
            self._report(
                'count',
                'Nova offers all devices that match',
                'match fewer devices',
            )
        for condition in self.entry.match:
            if condition == pci_flavor.IS_PCI:
                continue
            if condition.key not in _KEYS:
                self._report_left_out(
                    condition.key, 'Nova has no such condition'
                )
                return []
            try:
                alternatives.append(_alternatives(condition))
            except ValueError as error:
                self._report_left_out(condition.key, str(error))
                return []
        if math.prod(map(len, alternatives)) > expansion.MAX_VALUES:
            self._report_left_out(
                None, f'more than {expansion.MAX_VALUES} lines are needed'
            )
            return []
        return [
            dict(itertools.chain.from_iterable(combination))
            for combination in itertools.product(*alternatives)
        ]

    def _tags(self) -> dict[str, str]:
        tags = {}
        for key, value in self.entry.extra_info.items():
            text: str | None = value
            if key in _RESERVED:
                text = None
            elif key == 'traits':
                text = placement_names.from_list_tag(value)
            elif key in _FLAGS and not _is_flag(value):
                text = None
            if text is None:
                self._report(
                    key,
                    f'the tag was left out: {value!r} has another meaning in '
                    'Nova',
                    'add it by hand if it is intended for Nova',
                )
            else:
                tags[key] = text
        return tags


def _alternatives(
    condition: condition_spec.Condition,
) -> list[list[tuple[str, Any]]]:
    """Return a condition's alternatives, each as items of an object.

    :raises ValueError: Nova has no equivalent.
    """
    if condition.key == 'address':
        values: list[Any] = expansion.expand_addresses(condition)
        if None in values:
            return [[]]
    elif condition.key == 'devname':
        values = list(expansion.exact_values(condition))
    else:
        ids = expansion.expand_ids(condition)
        if ids is None:
            return [[]]
        values = list(ids)
    return [[(condition.key, value)] for value in values]


def _is_flag(value: str) -> bool:
    try:
        strutils.bool_from_string(value, strict=True)
    except ValueError:
        return False
    return True
