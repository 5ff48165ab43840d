# SPDX-License-Identifier: Apache-2.0
"""From PCI flavors to ``[pci] alias``.

Pure. An alias matches the vendor, the product, the type, ``live_migratable``
and, with ``[filter_scheduler] pci_in_placement``, resource class and traits;
see ``nova.pci.request``. A term of which a condition cannot be said is left
out, not widened.
"""

from collections.abc import Iterable
import dataclasses
import itertools
import json
import math

from pci_passthrough import nova_conf
from pci_passthrough import objects
from pci_passthrough.nova_conf import alias
from pci_passthrough.nova_conf import expressible
from pci_passthrough.nova_conf import placement_names
from pci_passthrough.objects import fields
from pci_passthrough.specs import condition
from pci_passthrough.specs import operation
from pci_passthrough.specs import pci_flavor

#: Keys that count with ``pci_in_placement`` only.
PLACEMENT_KEYS = frozenset({'resource_class', 'traits'})

_IDS = ('vendor_id', 'product_id')
_TAGS = ('live_migratable', 'resource_class', 'capability_type')

#: What an alias says, but for its name and NUMA policy.
_Spec = dict[str, str]


@dataclasses.dataclass(frozen=True, slots=True)
class Alias:
    """The values of ``alias`` for one PCI flavor."""

    name: str
    #: JSON documents; several are alternatives
    lines: tuple[str, ...]
    #: whether Nova ignores a part of it without ``pci_in_placement``
    needs_placement: bool

    @property
    def excludes_placement(self) -> bool:
        """Whether Nova refuses it with ``pci_in_placement``."""
        return len(self.lines) > 1


def translate(
    flavors: Iterable[objects.PciFlavor],
) -> tuple[list[Alias], list[nova_conf.Finding]]:
    """Return the aliases which mean the same, and what none does."""
    findings: list[nova_conf.Finding] = []
    found = []
    for flavor in flavors:
        one = _Flavor(flavor, findings).alias()
        if one is not None:
            found.append(one)
    return found, findings


@dataclasses.dataclass(frozen=True, slots=True)
class _Flavor:
    """Translates one PCI flavor; knows what to blame."""

    flavor: objects.PciFlavor
    findings: list[nova_conf.Finding]

    def alias(self) -> Alias | None:
        if self.flavor.state == fields.PciFlavorState.DISABLED:
            self._find(
                'state',
                'left out: it is disabled, and an alias never is',
                'enable it if it is to be exported',
            )
            return None
        self._look_at_fields()
        match = pci_flavor.MatchExpression.parse(self.flavor.match)
        specs: list[_Spec] = []
        for term in match.terms:
            specs += self._specs(term)
        if not specs:
            return None
        if not self._is_possible(specs):
            return None
        common = {'name': self.flavor.name}
        if self.flavor.numa_policy is not None:
            common['numa_policy'] = self.flavor.numa_policy
        return Alias(
            self.flavor.name,
            tuple(dict.fromkeys(json.dumps(common | spec) for spec in specs)),
            any(PLACEMENT_KEYS & spec.keys() for spec in specs),
        )

    def _specs(self, term: tuple[condition.Condition, ...]) -> list[_Spec]:
        written = ' and '.join(map(str, term))
        kinds = _kinds(term)
        try:
            found = _specs(term, kinds)
        except ValueError as error:
            self._find(
                'match',
                f'{written} was left out: {error}',
                'make a PCI flavor that an alias can say, if need be',
            )
            return []
        if missing := sorted(kinds - _given(kinds)):
            self._find(
                'match',
                f'{written} is narrower in Nova: for the alias no '
                f'{" and no ".join(missing)} is given',
                'add dev_type to the match: Nova gives a PF only for '
                'device_type type-PF, and vdpa never',
            )
        return found

    def _find(self, key: str, what: str, do: str) -> None:
        self.findings.append(
            nova_conf.Finding(
                f'PCI flavor {self.flavor.name!r}', key, what, do
            )
        )

    def _look_at_fields(self) -> None:
        if not self.flavor.is_public:
            self._find(
                'is_public',
                'every project may use an alias',
                'see to it that the Nova flavors which name it are not public',
            )
        if self.flavor.vnic_type is not None:
            self._find(
                'vnic_type',
                'an alias is not for NICs',
                'ports get their devices by physical_network then',
            )

    def _is_possible(self, specs: list[_Spec]) -> bool:
        if len(specs) > expressible.MOST:
            self._find(
                'match',
                f'left out: {len(specs)} aliases were needed',
                'make PCI flavors which match less',
            )
            return False
        kinds = {spec.get('device_type') for spec in specs}
        if len(specs) > 1 and (len(kinds) > 1 or None in kinds):
            self._find(
                'match',
                'left out: Nova has several aliases of a name only if all '
                'have the same device_type',
                'add dev_type to each term of the match',
            )
            return False
        placement = [bool(PLACEMENT_KEYS & spec.keys()) for spec in specs]
        if len(specs) > 1 and any(placement):
            self._find(
                'match',
                'left out: resource classes and traits need '
                'pci_in_placement, with which a name has one alias only',
                'give all devices that are meant one resource_class',
            )
            return False
        return True


def _specs(
    term: tuple[condition.Condition, ...], kinds: frozenset[str]
) -> list[_Spec]:
    """Return the aliases for one term, one for each combination.

    :param kinds: the types of devices that fit it.
    :raises ValueError: there is no equivalent.
    """
    choices = [_choices(one) for one in term if one.key != 'dev_type']
    choices.append([_device_type(kinds)])
    if math.prod(map(len, choices)) > expressible.MOST:
        raise ValueError(f'more than {expressible.MOST} aliases were needed')
    found: list[_Spec] = []
    for combination in itertools.product(*choices):
        spec: _Spec = {}
        for part in combination:
            spec |= part
        found.append(spec)
        if 'resource_class' not in spec and not spec.keys() >= set(_IDS):
            raise ValueError(
                'an alias has a vendor_id and a product_id, or a '
                'resource_class'
            )
    return found


def _kinds(term: tuple[condition.Condition, ...]) -> frozenset[str]:
    """Return the types of devices that fit a term."""
    kinds = set(fields.DevType.ALL)
    for one in term:
        if one.key == 'dev_type':
            kinds &= one.among(kinds)
    return frozenset(kinds)


def _given(kinds: frozenset[str]) -> frozenset[str]:
    """Return those of some types which one alias can be given."""
    unsaid = frozenset(alias.UNSAID_TYPES)
    return unsaid if kinds > unsaid else kinds - {fields.DevType.VDPA}


def _device_type(kinds: frozenset[str]) -> _Spec:
    """Return what says the types of devices.

    :raises ValueError: nothing does.
    """
    given = _given(kinds)
    if given == frozenset(alias.UNSAID_TYPES):
        return {}
    if not given:
        raise ValueError('Nova gives no vdpa devices for aliases')
    if len(given) > 1:
        raise ValueError(
            'an alias has one device_type, or none, which means type-PCI '
            'and type-VF'
        )
    return {'device_type': next(iter(given))}


def _choices(one: condition.Condition) -> list[_Spec]:
    tag = one.key.removeprefix('e.')
    if one.key in _IDS:
        ids = expressible.ids(one)
        return [{}] if ids is None else [{one.key: value} for value in ids]
    if one.key == 'e.traits':
        return [{'traits': _traits(one)}]
    if one.key == tag or tag not in _TAGS:
        raise ValueError(f'an alias has no condition on {one.key}')
    values = expressible.exact(one)
    if tag == 'live_migratable' and set(values) - {'true', 'false'}:
        raise ValueError(f'{one.key} has to be true or false')
    if tag == 'capability_type' and values != ['pci']:
        raise ValueError(f'{one.key} has to be pci')
    return [{tag: value} for value in values]


def _traits(one: condition.Condition) -> str:
    """Return the traits that a tag must all have.

    :raises ValueError: it is another condition.
    """
    patterns = tuple(one.patterns)
    wanted = patterns[0] if len(patterns) == 1 else None
    if (
        not isinstance(wanted, operation.Operation)
        or wanted.operator != '<all-in>'
    ):
        raise ValueError(f'of {one.key} Nova can say <all-in> only')
    return placement_names.from_list_tag(str(list(wanted.operands))) or ''
