# SPDX-License-Identifier: Apache-2.0
"""Translates PCI flavors to Nova's ``[pci] alias``. Pure.

An alias matches the vendor, the product, the device type,
``live_migratable`` and, with ``[filter_scheduler] pci_in_placement``, the
resource class and traits; see ``nova.pci.request``. A term with another
condition is left out, never widened.
"""

from collections.abc import Iterable
import dataclasses
import itertools
import json
import math

from pci_passthrough import objects
from pci_passthrough.nova_conf import expansion
from pci_passthrough.nova_conf import from_alias
from pci_passthrough.nova_conf import placement_names
from pci_passthrough.objects import fields
from pci_passthrough.specs import condition as condition_spec
from pci_passthrough.specs import lint
from pci_passthrough.specs import operators
from pci_passthrough.specs import pci_flavor

#: Keys that Nova uses with ``pci_in_placement`` only.
PLACEMENT_KEYS = frozenset({'resource_class', 'traits'})

_IDS = ('vendor_id', 'product_id')
_TAGS = ('live_migratable', 'resource_class', 'capability_type')

#: The keys and values of an alias without its name and NUMA policy.
_Spec = dict[str, str]


@dataclasses.dataclass(frozen=True, slots=True)
class Alias:
    """The values of ``alias`` for one PCI flavor."""

    name: str
    #: JSON documents; several are alternatives
    lines: tuple[str, ...]
    #: whether Nova ignores some keys without ``pci_in_placement``
    needs_placement: bool

    @property
    def excludes_placement(self) -> bool:
        """Whether Nova refuses the values with ``pci_in_placement``."""
        return len(self.lines) > 1


def translate(
    flavors: Iterable[objects.PciFlavor],
) -> tuple[list[Alias], list[lint.Finding]]:
    """Return the equivalent aliases, and findings about the rest."""
    findings: list[lint.Finding] = []
    aliases = []
    for flavor in flavors:
        alias = _FlavorTranslator(flavor, findings).alias()
        if alias is not None:
            aliases.append(alias)
    return aliases, findings


@dataclasses.dataclass(frozen=True, slots=True)
class _FlavorTranslator:
    """Translates one PCI flavor; reports what has no equivalent."""

    flavor: objects.PciFlavor
    findings: list[lint.Finding]

    def alias(self) -> Alias | None:
        """Return the equivalent alias, None if there is none."""
        if self.flavor.state == fields.PciFlavorState.DISABLED:
            self._report(
                'state',
                'left out: an alias cannot be disabled',
                'enable the PCI flavor before the export',
            )
            return None
        self._report_fields()
        match = pci_flavor.MatchExpression.parse(self.flavor.match)
        specs: list[_Spec] = []
        for term in match.terms:
            specs += self._specs(term)
        if not specs:
            return None
        if problem := _combination_problem(specs):
            self._report('match', *problem)
            return None
        common = {'name': self.flavor.name}
        if self.flavor.numa_policy is not None:
            common['numa_policy'] = self.flavor.numa_policy
        return Alias(
            self.flavor.name,
            tuple(dict.fromkeys(json.dumps(common | spec) for spec in specs)),
            any(PLACEMENT_KEYS & spec.keys() for spec in specs),
        )

    def _specs(
        self, term: tuple[condition_spec.Condition, ...]
    ) -> list[_Spec]:
        text = ' and '.join(map(str, term))
        dev_types = _dev_types(term)
        try:
            specs = _specs(term, dev_types)
        except ValueError as error:
            self._report(
                'match',
                f'{text} was left out: {error}',
                'create a PCI flavor with an equivalent alias, if necessary',
            )
            return []
        if missing := sorted(dev_types - _alias_dev_types(dev_types)):
            self._report(
                'match',
                f'{text} matches fewer devices in Nova: the alias gets no '
                f'{" and no ".join(missing)}',
                'add dev_type to the match: Nova gives a PF only for '
                'device_type type-PF, and vdpa never',
            )
        return specs

    def _report(self, key: str, problem: str, advice: str) -> None:
        self.findings.append(
            lint.Finding(
                f'PCI flavor {self.flavor.name!r}', key, problem, advice
            )
        )

    def _report_fields(self) -> None:
        """Report the fields that an alias does not have."""
        if not self.flavor.is_public:
            self._report(
                'is_public',
                'every project may use an alias',
                'check that Nova flavors with the alias are not public',
            )
        if self.flavor.vnic_type is not None:
            self._report(
                'vnic_type',
                'an alias is not for NICs',
                'ports get devices by their physical_network instead',
            )


def _combination_problem(specs: list[_Spec]) -> tuple[str, str] | None:
    """Return (problem, advice) if Nova refuses these aliases together."""
    if len(specs) > expansion.MAX_VALUES:
        return (
            f'left out: {len(specs)} aliases would be needed',
            'create PCI flavors that match fewer devices',
        )
    device_types = {spec.get('device_type') for spec in specs}
    if len(specs) > 1 and (len(device_types) > 1 or None in device_types):
        return (
            'left out: Nova allows several aliases of one name only if all '
            'have the same device_type',
            'add dev_type to each term of the match',
        )
    if len(specs) > 1 and any(PLACEMENT_KEYS & spec.keys() for spec in specs):
        return (
            'left out: resource classes and traits need pci_in_placement, '
            'with which a name has one alias only',
            'give all intended devices the same resource_class',
        )
    return None


def _specs(
    term: tuple[condition_spec.Condition, ...], dev_types: frozenset[str]
) -> list[_Spec]:
    """Return the aliases for one term, one for each combination.

    :param dev_types: the types of devices that match the term.
    :raises ValueError: Nova has no equivalent.
    """
    alternatives = [
        _alternatives(condition)
        for condition in term
        if condition.key != 'dev_type'
    ]
    alternatives.append([_device_type(dev_types)])
    if math.prod(map(len, alternatives)) > expansion.MAX_VALUES:
        raise ValueError(
            f'more than {expansion.MAX_VALUES} aliases would be needed'
        )
    specs: list[_Spec] = []
    for combination in itertools.product(*alternatives):
        spec: _Spec = {}
        for part in combination:
            spec |= part
        specs.append(spec)
        if 'resource_class' not in spec and not spec.keys() >= set(_IDS):
            raise ValueError(
                'an alias has a vendor_id and a product_id, or a '
                'resource_class'
            )
    return specs


def _dev_types(term: tuple[condition_spec.Condition, ...]) -> frozenset[str]:
    """Return the types of devices that match a term."""
    dev_types = set(fields.DevType.ALL)
    for condition in term:
        if condition.key == 'dev_type':
            dev_types &= condition.accepted(dev_types)
    return frozenset(dev_types)


def _alias_dev_types(dev_types: frozenset[str]) -> frozenset[str]:
    """Return the subset of types that one alias can get."""
    default = frozenset(from_alias.DEFAULT_DEVICE_TYPES)
    return (
        default if dev_types > default else dev_types - {fields.DevType.VDPA}
    )


def _device_type(dev_types: frozenset[str]) -> _Spec:
    """Return the ``device_type`` of an alias for these types of devices.

    :raises ValueError: Nova has no equivalent.
    """
    alias_types = _alias_dev_types(dev_types)
    if alias_types == frozenset(from_alias.DEFAULT_DEVICE_TYPES):
        return {}
    if not alias_types:
        raise ValueError('Nova gives no vdpa devices for aliases')
    if len(alias_types) > 1:
        raise ValueError(
            'an alias has one device_type, or none, which means type-PCI '
            'and type-VF'
        )
    return {'device_type': next(iter(alias_types))}


def _alternatives(condition: condition_spec.Condition) -> list[_Spec]:
    """Return a condition's alternatives, each as a part of an alias.

    :raises ValueError: Nova has no equivalent.
    """
    key = condition.key
    tag = key.removeprefix('e.')
    if key == 'resource_type':
        if condition == pci_flavor.IS_PCI:
            return [{}]
        raise ValueError('an alias is for PCI functions only')
    if key in _IDS:
        ids = expansion.expand_ids(condition)
        return [{}] if ids is None else [{key: value} for value in ids]
    if key == 'e.traits':
        return [{'traits': _traits(condition)}]
    if key == tag or tag not in _TAGS:
        raise ValueError(f'an alias has no condition on {key}')
    values = expansion.exact_values(condition)
    if tag == 'live_migratable' and set(values) - {'true', 'false'}:
        raise ValueError(f'{key} must be true or false')
    if tag == 'capability_type' and values != ['pci']:
        raise ValueError(f'{key} must be pci')
    return [{tag: value} for value in values]


def _traits(condition: condition_spec.Condition) -> str:
    """Return the comma-separated traits of an ``<all-in>`` condition.

    :raises ValueError: the condition has another operator.
    """
    patterns = tuple(condition.patterns)
    wanted = patterns[0] if len(patterns) == 1 else None
    if (
        not isinstance(wanted, operators.OperatorExpression)
        or wanted.operator != '<all-in>'
    ):
        raise ValueError(f'for {condition.key} Nova has <all-in> only')
    return placement_names.from_list_tag(str(list(wanted.operands))) or ''
