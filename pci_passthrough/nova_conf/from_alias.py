# SPDX-License-Identifier: Apache-2.0
"""Translates Nova's ``[pci] alias`` to PCI flavors. Pure.

Source: the schema and the checks of ``nova.pci.request``, and the filters
of ``nova.pci.stats``. An alias without ``device_type`` never gets a PF or a
vdpa device, so its PCI flavor matches the other types only.
"""

from collections.abc import Sequence
import dataclasses
import difflib
import re
from typing import Any

from oslo_utils import strutils

from pci_passthrough import exception
from pci_passthrough import nova_conf
from pci_passthrough.nova_conf import placement_names
from pci_passthrough.objects import fields
from pci_passthrough.specs import lint
from pci_passthrough.specs import match_key
from pci_passthrough.specs import pci_flavor

EXAMPLE = (
    '{"name": "a1", "vendor_id": "8086", "product_id": "0443", '
    '"device_type": "type-PCI"}'
)

#: The values of ``device_type``. An alias never gets a vdpa device.
DEVICE_TYPES = (
    fields.DevType.STANDARD,
    fields.DevType.SRIOV_PF,
    fields.DevType.SRIOV_VF,
)

#: The types of devices for an alias without ``device_type``.
DEFAULT_DEVICE_TYPES = (fields.DevType.STANDARD, fields.DevType.SRIOV_VF)

#: Longest name, one character more than a PCI flavor's.
_MAX_NAME_LENGTH = 256

#: Key of an alias to its allowed values; an empty tuple allows any string.
_KEYS: dict[str, tuple[str, ...]] = {
    'name': (),
    'vendor_id': (),
    'product_id': (),
    'device_type': DEVICE_TYPES,
    'numa_policy': fields.NumaPolicy.ALL,
    'capability_type': ('pci',),
    'live_migratable': (),
    'resource_class': (),
    'traits': (),
}


@dataclasses.dataclass(frozen=True, slots=True)
class PciFlavorDraft:
    """A PCI flavor that does not exist yet."""

    name: str
    #: as in ``objects.PciFlavor``
    match: list[dict[str, str | list[str]]]
    numa_policy: str | None


@dataclasses.dataclass(frozen=True, slots=True)
class PlacementUse:
    """Nova's use of Placement, which changes the meaning of an alias."""

    #: ``[filter_scheduler] pci_in_placement``
    in_use: bool = False
    #: whether an object of device_spec has a resource class
    classes: bool = False


def translate(
    values: Sequence[nova_conf.OptionValue], placement: PlacementUse
) -> tuple[list[PciFlavorDraft], list[lint.Finding]]:
    """Return the equivalent PCI flavors, and findings about the rest.

    Values with the same name are alternatives.

    :raises exception.InvalidConfiguration: for the first value that Nova
        refuses, too.
    """
    findings: list[lint.Finding] = []
    by_name: dict[str, list[_AliasTranslator]] = {}
    for value in values:
        spec = _load(value, findings)
        alias = _AliasTranslator(value, spec, placement, findings)
        alias.check()
        by_name.setdefault(alias.name, []).append(alias)
        alias.check_alternative(by_name[alias.name][0])
    drafts = [
        draft
        for aliases in by_name.values()
        if (draft := _draft(aliases, findings)) is not None
    ]
    return drafts, findings


def _load(
    value: nova_conf.OptionValue, findings: list[lint.Finding]
) -> dict[str, Any]:
    document = value.load(EXAMPLE, findings)
    if not isinstance(document, dict):
        raise value.malformed(
            None, 'not an object; one value is one alias', EXAMPLE
        )
    return document


def _draft(
    aliases: list['_AliasTranslator'], findings: list[lint.Finding]
) -> PciFlavorDraft | None:
    first = aliases[0]
    draft = PciFlavorDraft(
        first.name,
        [alias.term() for alias in aliases],
        first.spec.get('numa_policy'),
    )
    try:
        pci_flavor.validate_name(draft.name)
        pci_flavor.MatchExpression.parse(draft.match)
    except exception.InvalidPciFlavor as error:
        findings.append(
            lint.Finding(
                str(first.value),
                'name' if error.key == 'name' else None,
                f'the alias was left out: {error.key!r}: {error.reason}',
                'create a PCI flavor by hand, with another name if necessary, '
                'and use this name in Nova flavors',
            )
        )
        return None
    return draft


@dataclasses.dataclass(frozen=True, slots=True)
class _AliasTranslator:
    """Translates one value of alias; reports what has no equivalent."""

    value: nova_conf.OptionValue
    spec: dict[str, Any]
    placement: PlacementUse
    findings: list[lint.Finding]

    @property
    def name(self) -> str:
        return str(self.spec['name']).strip()

    def check(self) -> None:
        """Check the alias by Nova's rules.

        :raises exception.InvalidConfiguration: Nova refuses the alias.
        """
        if 'name' not in self.spec:
            raise self.value.malformed('name', 'missing', EXAMPLE)
        for key, value in self.spec.items():
            if key not in _KEYS:
                near = _nearest(key)
                hint = f', did you mean {near!r}?' if near in _KEYS else ''
                raise self.value.malformed(
                    key, f'an alias has no such key{hint}', EXAMPLE
                )
            reason = _reason_invalid(key, value)
            if reason:
                raise self.value.malformed(key, reason, EXAMPLE)
        if self.spec.get('resource_class') and self.placement.in_use:
            return
        for key in ('vendor_id', 'product_id'):
            if key not in self.spec:
                raise self.value.malformed(
                    key,
                    'missing; Nova accepts a resource_class instead only '
                    'with [filter_scheduler] pci_in_placement, which these '
                    'files do not set'
                    if not self.placement.in_use
                    else 'missing, and there is no resource_class',
                    EXAMPLE,
                )

    def check_alternative(self, first: '_AliasTranslator') -> None:
        """Check the alias together with the first alias of the same name.

        :raises exception.InvalidConfiguration: Nova refuses the second one.
        """
        if self is first:
            return
        policies, device_types = (
            {alias.spec.get(key, default) for alias in (self, first)}
            for key, default in (
                ('numa_policy', fields.NumaPolicy.LEGACY),
                ('device_type', None),
            )
        )
        if len(policies) > 1:
            key = 'numa_policy'
            reason = 'differs from the first alias of this name'
        elif len(device_types) > 1 or None in device_types:
            key = 'device_type'
            reason = 'all aliases of one name must have the same device_type'
        elif self.placement.in_use:
            key = 'name'
            reason = 'with pci_in_placement a name can be used once only'
        else:
            return
        raise self.value.malformed(key, reason, EXAMPLE)

    def term(self) -> dict[str, str | list[str]]:
        """Return the equivalent term of a match expression."""
        term: dict[str, str | list[str]] = {}
        for key in ('vendor_id', 'product_id'):
            if key in self.spec:
                term[key] = self.spec[key].lower()
        term['dev_type'] = self.spec.get(
            'device_type', list(DEFAULT_DEVICE_TYPES)
        )
        if 'live_migratable' in self.spec:
            migratable = strutils.bool_from_string(
                self.spec['live_migratable'], strict=True
            )
            term['e.live_migratable'] = str(migratable).lower()
        if 'capability_type' in self.spec:
            term['e.capability_type'] = self.spec['capability_type']
            self._report(
                'capability_type',
                'became a condition on a tag of the same name, as in Nova: '
                'only devices whose device_spec has this tag match',
                'remove the condition from the PCI flavor if it is not '
                'intended',
            )
        return term | self._placement_conditions()

    def _placement_conditions(self) -> dict[str, str | list[str]]:
        conditions: dict[str, str | list[str]] = {}
        name = self.spec.get('resource_class')
        traits = self.spec.get('traits')
        if not self.placement.in_use:
            for key in ('resource_class', 'traits'):
                if key in self.spec:
                    self._report(
                        key,
                        'left out: Nova ignores it without '
                        '[filter_scheduler] pci_in_placement',
                        f'add e.{key} to the match of the PCI flavor if the '
                        'condition is intended',
                    )
            return conditions
        if name:
            resource_class = placement_names.resource_class(name)
            conditions['e.resource_class'] = resource_class
        elif self.placement.classes:
            self._report(
                None,
                'Nova gives devices with a resource_class only to aliases '
                'with this resource_class; the PCI flavor matches these '
                'devices, too',
                'match another tag of the intended devices',
            )
        if traits:
            wanted = ' '.join(placement_names.traits(traits))
            conditions['e.traits'] = f'<all-in> {wanted}'
        return conditions

    def _report(self, key: str | None, problem: str, advice: str) -> None:
        self.findings.append(
            lint.Finding(str(self.value), key, problem, advice)
        )


def _nearest(key: str) -> str | None:
    """Return the key of an alias that another key probably means, or None."""
    folded = key.lower().replace('-', '_')
    near = difflib.get_close_matches(folded, _KEYS, n=1, cutoff=0.75)
    meant = near[0] if near else match_key.nearest(key)
    return 'device_type' if meant == 'dev_type' else meant


def _reason_invalid(key: str, value: object) -> str | None:
    """Return why Nova refuses the value of a key, None if it is valid."""
    if not isinstance(value, str):
        return 'not a string: quote it'
    if _KEYS[key] and value not in _KEYS[key]:
        return f'{value!r} is none of {", ".join(_KEYS[key])}'
    if key == 'name' and not 1 <= len(value) <= _MAX_NAME_LENGTH:
        return f'must have 1 to {_MAX_NAME_LENGTH} characters'
    if key in ('vendor_id', 'product_id') and not re.fullmatch(
        '[0-9a-fA-F]{4}', value
    ):
        return f'{value!r} is not four hexadecimal digits'
    if key == 'live_migratable':
        try:
            strutils.bool_from_string(value, strict=True)
        except ValueError:
            return 'neither yes nor no'
    return None
