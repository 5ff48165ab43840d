# SPDX-License-Identifier: Apache-2.0
"""From ``[pci] alias`` to PCI flavors.

Pure. Source: the schema and the checks of ``nova.pci.request``, and what
``nova.pci.stats`` leaves of the pools for a request. An alias without
``device_type`` is never given a PF or a vdpa device, so the PCI flavor says
that.
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
from pci_passthrough.specs import pci_flavor

EXAMPLE = (
    '{"name": "a1", "vendor_id": "8086", "product_id": "0443", '
    '"device_type": "type-PCI"}'
)

#: Nova gives no vdpa devices for aliases.
DEVICE_TYPES = (
    fields.DevType.STANDARD,
    fields.DevType.SRIOV_PF,
    fields.DevType.SRIOV_VF,
)

#: What an alias without ``device_type`` is given.
UNSAID_TYPES = (fields.DevType.STANDARD, fields.DevType.SRIOV_VF)

#: Longest name, one more than a PCI flavor's.
_MAX_NAME_LENGTH = 256

#: All keys, with the values that they may have if they are few.
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
class Draft:
    """A PCI flavor that is yet to be created."""

    name: str
    #: see ``objects.PciFlavor``
    match: list[dict[str, str | list[str]]]
    numa_policy: str | None


@dataclasses.dataclass(frozen=True, slots=True)
class Placement:
    """What of Nova's use of Placement changes the meaning of an alias."""

    #: ``[filter_scheduler] pci_in_placement``
    in_use: bool = False
    #: whether an entry of device_spec has a resource class
    classes: bool = False


def translate(
    values: Sequence[nova_conf.Value], placement: Placement
) -> tuple[list[Draft], list[nova_conf.Finding]]:
    """Return the PCI flavors which mean the same, and what none does.

    Values with the same name are alternatives.

    :raises exception.InvalidConfiguration: for the first value that Nova
        refuses, too.
    """
    findings: list[nova_conf.Finding] = []
    by_name: dict[str, list[_Alias]] = {}
    for value in values:
        one = _Alias(value, _load(value, findings), placement, findings)
        one.check()
        by_name.setdefault(one.name, []).append(one)
        one.check_beside(by_name[one.name][0])
    drafts = [
        draft
        for aliases in by_name.values()
        if (draft := _draft(aliases, findings)) is not None
    ]
    return drafts, findings


def _load(
    value: nova_conf.Value, findings: list[nova_conf.Finding]
) -> dict[str, Any]:
    document = value.load(
        EXAMPLE,
        lambda key: findings.append(
            nova_conf.Finding(
                str(value),
                key,
                'given twice: the last one was taken, as Nova does',
                'make sure that it is the one that is meant',
            )
        ),
    )
    if not isinstance(document, dict):
        raise value.malformed(
            None, 'not an object; one value is one alias', EXAMPLE
        )
    return document


def _draft(
    aliases: list['_Alias'], findings: list[nova_conf.Finding]
) -> Draft | None:
    first = aliases[0]
    draft = Draft(
        first.name,
        [alias.term() for alias in aliases],
        first.spec.get('numa_policy'),
    )
    try:
        pci_flavor.validate_name(draft.name)
        pci_flavor.MatchExpression.parse(draft.match)
    except exception.InvalidPciFlavor as error:
        findings.append(
            nova_conf.Finding(
                str(first.value),
                'name' if error.key == 'name' else None,
                'no PCI flavor was made of the alias: '
                f'{error.key!r}: {error.reason}',
                'create one by hand, if need be with another name, and name '
                'it so in Nova flavors',
            )
        )
        return None
    return draft


@dataclasses.dataclass(frozen=True, slots=True)
class _Alias:
    """Translates one value; knows what to blame."""

    value: nova_conf.Value
    spec: dict[str, Any]
    placement: Placement
    findings: list[nova_conf.Finding]

    @property
    def name(self) -> str:
        return str(self.spec['name']).strip()

    def check(self) -> None:
        """Check it as Nova does.

        :raises: InvalidConfiguration
        """
        if 'name' not in self.spec:
            raise self.value.malformed('name', 'missing', EXAMPLE)
        for key, value in self.spec.items():
            if key not in _KEYS:
                near = difflib.get_close_matches(key, _KEYS, n=1)
                hint = f', did you mean {near[0]!r}?' if near else ''
                raise self.value.malformed(
                    key, f'an alias has no such key{hint}', EXAMPLE
                )
            reason = _wrong(key, value)
            if reason:
                raise self.value.malformed(key, reason, EXAMPLE)
        if self.spec.get('resource_class') and self.placement.in_use:
            return
        for key in ('vendor_id', 'product_id'):
            if key not in self.spec:
                raise self.value.malformed(
                    key,
                    'missing, and Nova takes a resource_class instead only '
                    'with [filter_scheduler] pci_in_placement, which these '
                    'files do not set'
                    if not self.placement.in_use
                    else 'missing, and there is no resource_class',
                    EXAMPLE,
                )

    def check_beside(self, first: '_Alias') -> None:
        """Check it together with the first one of its name.

        :raises: InvalidConfiguration
        """
        if self is first:
            return
        policies, kinds = (
            {one.spec.get(key, default) for one in (self, first)}
            for key, default in (
                ('numa_policy', fields.NumaPolicy.LEGACY),
                ('device_type', None),
            )
        )
        if len(policies) > 1:
            key, reason = 'numa_policy', 'another one than before'
        elif len(kinds) > 1 or None in kinds:
            key = 'device_type'
            reason = 'aliases of one name must have one, and the same'
        elif self.placement.in_use:
            key = 'name'
            reason = 'with pci_in_placement a name can be given once only'
        else:
            return
        raise self.value.malformed(key, reason, EXAMPLE)

    def term(self) -> dict[str, str | list[str]]:
        """Return the alternative that means the same."""
        found: dict[str, str | list[str]] = {}
        for key in ('vendor_id', 'product_id'):
            if key in self.spec:
                found[key] = self.spec[key].lower()
        found['dev_type'] = self.spec.get('device_type', list(UNSAID_TYPES))
        if 'live_migratable' in self.spec:
            migratable = strutils.bool_from_string(
                self.spec['live_migratable'], strict=True
            )
            found['e.live_migratable'] = str(migratable).lower()
        if 'capability_type' in self.spec:
            found['e.capability_type'] = self.spec['capability_type']
            self._find(
                'capability_type',
                'became a condition on a tag of that name, as in Nova: only '
                'devices whose device_spec has the tag match',
                'take it out of the PCI flavor if that is not meant',
            )
        return found | self._placement_terms()

    def _placement_terms(self) -> dict[str, str | list[str]]:
        found: dict[str, str | list[str]] = {}
        name = self.spec.get('resource_class')
        traits = self.spec.get('traits')
        if not self.placement.in_use:
            for key in ('resource_class', 'traits'):
                if key in self.spec:
                    self._find(
                        key,
                        'left out: Nova ignores it without '
                        '[filter_scheduler] pci_in_placement',
                        f'add e.{key} to the match of the PCI flavor if it '
                        'is to count',
                    )
            return found
        if name:
            found['e.resource_class'] = placement_names.resource_class(name)
        elif self.placement.classes:
            self._find(
                None,
                'Nova leaves devices which have a resource_class of their '
                'own to aliases that name it; the PCI flavor matches them, '
                'too',
                'match another tag of the devices that are meant',
            )
        if traits:
            wanted = ' '.join(placement_names.traits(traits))
            found['e.traits'] = f'<all-in> {wanted}'
        return found

    def _find(self, key: str | None, what: str, do: str) -> None:
        self.findings.append(nova_conf.Finding(str(self.value), key, what, do))


def _wrong(key: str, value: object) -> str | None:
    """Return why Nova refuses the value of a key, None if it does not."""
    if not isinstance(value, str):
        return 'not a string: quote it'
    if _KEYS[key] and value not in _KEYS[key]:
        return f'{value!r} is none of {", ".join(_KEYS[key])}'
    if key == 'name' and not 1 <= len(value) <= _MAX_NAME_LENGTH:
        return f'has to have 1 to {_MAX_NAME_LENGTH} characters'
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
