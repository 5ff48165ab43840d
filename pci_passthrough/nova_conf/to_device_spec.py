# SPDX-License-Identifier: Apache-2.0
"""From ``[agent] pci_information`` to ``[pci] device_spec``.

Pure. Nova has no exceptions and fewer conditions, so an entry may have no
equivalent. Nothing is written that would offer a device which is not offered
here: what a later entry would offer of a left out exception is held back.
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
from pci_passthrough.nova_conf import expressible
from pci_passthrough.nova_conf import placement_names
from pci_passthrough.specs import condition
from pci_passthrough.specs import pci_information

#: Conditions which Nova has, too.
_KEYS = ('vendor_id', 'product_id', 'address', 'devname')

#: Tags that Nova reads as yes or no, and does not start with another value.
_FLAGS = ('managed', 'live_migratable')

#: Tags that would mean something else to Nova: ``nova.pci.stats`` and
#: ``nova.pci.devspec`` have keys of these names.
_TAKEN = frozenset(
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
    #: why it must not be used as it is; None if it may be
    held_back: str | None


def translate(
    values: Sequence[nova_conf.Value],
) -> tuple[list[Line], list[nova_conf.Finding]]:
    """Return the values of device_spec which mean the same.

    :param values: of pci_information, in order.
    :returns: JSON documents, and what there is no equivalent for.
    :raises exception.InvalidConfiguration: for the first wrong entry.
    """
    lines: list[Line] = []
    findings: list[nova_conf.Finding] = []
    excluded: list[pci_information.Entry] = []
    for value in values:
        entry = _parse(value)
        if entry.exclude:
            excluded.append(entry)
            findings.append(
                nova_conf.Finding(
                    str(value),
                    'exclude',
                    'left out: Nova has no exceptions',
                    'see which later entries were held back for it',
                )
            )
            continue
        one = _Entry(value, entry, findings)
        lines += one.lines(
            next((e for e in excluded if _may_overlap(entry, e)), None)
        )
    return lines, findings


def _parse(value: nova_conf.Value) -> pci_information.Entry:
    try:
        found = pci_information.PciInformation.parse([value.text])
    except exception.InvalidPciInformation as error:
        raise exception.InvalidConfiguration(
            f'{value.file}: {error}'
        ) from error
    return found.entries[0]


def _may_overlap(
    one: pci_information.Entry, other: pci_information.Entry
) -> bool:
    """Whether a device could match both; when in doubt, it could."""
    theirs = {condition.key: condition for condition in other.match}
    for mine in one.match:
        if mine.key not in ('vendor_id', 'product_id'):
            continue
        try:
            ids = expressible.ids(mine)
        except ValueError:
            continue
        if (
            ids is not None
            and mine.key in theirs
            and not theirs[mine.key].among(set(ids))
        ):
            return False
    return True


@dataclasses.dataclass(frozen=True, slots=True)
class _Entry:
    """Translates one entry; knows what to blame."""

    value: nova_conf.Value
    entry: pci_information.Entry
    findings: list[nova_conf.Finding]

    def lines(
        self, exception_before: pci_information.Entry | None
    ) -> list[Line]:
        """Return what means the same, nothing if nothing does.

        :param exception_before: an exception that may concern its devices.
        """
        specs = self._specs()
        held_back = None
        if specs and exception_before is not None:
            held_back = (
                f'would offer what is excluded: {exception_before.text}'
            )
            self._find(
                None,
                f'held back, as a comment: it {held_back}',
                'write entries which leave those devices out',
            )
        tags = self._tags() if specs else {}
        return [Line(json.dumps(spec | tags), held_back) for spec in specs]

    def _find(self, key: str | None, what: str, do: str) -> None:
        self.findings.append(nova_conf.Finding(str(self.value), key, what, do))

    def _leave_out(self, key: str | None, reason: str) -> None:
        self._find(
            key,
            f'the entry was left out: {reason}',
            'write vendor_id, product_id and address, as far as the host '
            'allows',
        )

    def _specs(self) -> list[dict[str, Any]]:
        """Return what Nova is to match: each combination of alternatives."""
        choices = []
        for one in self.entry.match:
            if one.key not in _KEYS:
                self._leave_out(one.key, 'Nova has no such condition')
                return []
            try:
                choices.append(_choices(one))
            except ValueError as error:
                self._leave_out(one.key, str(error))
                return []
        if math.prod(map(len, choices)) > expressible.MOST:
            self._leave_out(None, f'more than {expressible.MOST} were needed')
            return []
        return [
            dict(itertools.chain.from_iterable(combination))
            for combination in itertools.product(*choices)
        ]

    def _tags(self) -> dict[str, str]:
        found = {}
        for key, value in self.entry.extra_info.items():
            text: str | None = value
            if key in _TAKEN:
                text = None
            elif key == 'traits':
                text = placement_names.from_list_tag(value)
            elif key in _FLAGS and not _is_flag(value):
                text = None
            if text is None:
                self._find(
                    key,
                    f'the tag was left out: {value!r} would be misunderstood',
                    'write it by hand if it is meant for Nova',
                )
            else:
                found[key] = text
        return found


def _choices(one: condition.Condition) -> list[list[tuple[str, Any]]]:
    """Return the alternatives of a condition, each as items of a spec.

    :raises ValueError: Nova cannot say it.
    """
    if one.key == 'address':
        found: list[Any] = expressible.addresses(one)
        if None in found:
            return [[]]
    elif one.key == 'devname':
        found = list(expressible.exact(one))
    else:
        some = expressible.ids(one)
        if some is None:
            return [[]]
        found = list(some)
    return [[(one.key, value)] for value in found]


def _is_flag(value: str) -> bool:
    try:
        strutils.bool_from_string(value, strict=True)
    except ValueError:
        return False
    return True
