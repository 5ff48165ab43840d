# SPDX-License-Identifier: Apache-2.0
"""Parses ``[agent] pci_information``: the devices that a host offers.

Each value of the option is one JSON document, an entry, in one of four
equivalent forms::

    {"match": {"vendor_id": "8086"}, "extra_info": {"group": "10g"}}
    {"match": {"address": "0000:65:00.*"}, "exclude": true}
    [{"vendor_id": "8086"}, {"e.group": "10g"}]
    {"vendor_id": "8086", "group": "10g"}

With ``"handler"`` and ``"on_failure"`` an entry says what the host does with
its devices between two owners. ``"type"``, ``"description"`` and
``"information"`` tell users what the devices are: they are tags. ``"count"``
says how many devices the entry offers.

An entry is about PCI functions, unless it has a ``resource_type``.

The third is the form of the original blueprint, the fourth is the form of
Nova's ``[pci] device_spec``.
"""

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import json
from typing import Any
from typing import NoReturn
from typing import Self

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.objects import fields
from pci_passthrough.specs import condition as condition_spec
from pci_passthrough.specs import extra_info
from pci_passthrough.specs import handler_names
from pci_passthrough.specs import match_key

EXAMPLE = (
    '{"match": {"vendor_id": "8086", "product_id": "10ca"}, '
    '"extra_info": {"group": "10g"}}'
)

#: Keys of the first form. A tag cannot have one of these names.
RESERVED = (
    'match',
    'extra_info',
    'exclude',
    'allow_in_use',
    'confirm_new',
    'handler',
    'on_failure',
    'count',
)

#: Tags that an entry may have beside "match", too.
WORDS = ('type', 'description', 'information')

#: Keys that were the names of tags before they got a meaning.
_TAGS_TOO = ('count', 'port', 'serial_number')

#: Match keys that devices of any make can have in common.
_COMMON_KEYS = ('class', 'dev_type', 'numa_node')

_PCI = fields.ResourceType.PCI

#: Separators of an address without its digits: only a wildcard accepts it.
_NO_VALUE = '::.'


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """One entry: which devices it matches, and what it means for them.

    Entries with the same meaning are equal, regardless of their form.
    """

    #: conditions that must all be fulfilled, sorted by key
    match: tuple[condition_spec.Condition, ...]
    #: what its devices are: see ``fields.ResourceType``
    resource_type: str
    #: tags to add to the devices
    extra_info: Mapping[str, str] = dataclasses.field(hash=False)
    #: whether the devices are not offered
    exclude: bool
    #: whether the devices are offered even if the host uses them
    allow_in_use: bool
    #: whether new hardware is disabled until an operator has looked at it
    confirm_new: bool
    #: what sets the devices up and cleans them, each with its argument
    #: (``driver:vfio-pci``), in the order of work; empty for nothing, None
    #: for what the agent chooses by the class of a device
    handlers: tuple[str, ...] | None
    #: one of ``handler_names.ON_FAILURE``
    on_failure: str
    #: how many devices it offers at most; of mediated devices, on each
    #: parent; None means all
    count: int | None
    #: the JSON document as the operator wrote it
    text: str = dataclasses.field(compare=False)
    #: position among the option's values, from 0
    index: int = dataclasses.field(compare=False)

    @property
    def canonical(self) -> str:
        """The JSON document with normalized blanks and sorted keys."""
        return json.dumps(json.loads(self.text), sort_keys=True)

    @property
    def names_hardware(self) -> bool:
        """Whether a condition tells one make or device from others.

        Conditions on class, type or NUMA node do not, and a condition that
        accepts each value (``*``) does not.
        """
        return any(
            condition.key not in _COMMON_KEYS
            and not condition.accepts(_NO_VALUE)
            for condition in self.match
        )

    def matches(
        self, device: objects.PciDevice, parent_devname: str | None = None
    ) -> bool:
        """Return whether a device is of the type and fulfils all conditions.

        A device of an earlier agent has no type: it is a PCI function.
        """
        return (
            device.get('resource_type', _PCI) == self.resource_type
            and next(self.unmet(device, parent_devname), None) is None
        )

    def unmet(
        self, device: objects.PciDevice, parent_devname: str | None = None
    ) -> Iterator[condition_spec.Condition]:
        """Yield the conditions that a device does not fulfil."""
        for condition in self.match:
            if not (
                condition.accepts(condition.value_of(device))
                or _names_parent(condition, device, parent_devname)
            ):
                yield condition


@dataclasses.dataclass(frozen=True, slots=True)
class PciInformation:
    """All entries of a host, in the order of the configuration."""

    entries: tuple[Entry, ...]

    @classmethod
    def parse(cls, values: Sequence[str]) -> Self:
        """Parse the values of the option.

        :param values: one JSON document each.
        :raises exception.InvalidPciInformation: for the first invalid entry.
        """
        return cls(
            tuple(
                _EntryParser(text, index).parse()
                for index, text in enumerate(values)
            )
        )

    def find(
        self, device: objects.PciDevice, parent_devname: str | None = None
    ) -> Entry | None:
        """Return the first entry that matches a device, or None.

        The entry may be an excluding one. As in ``nova.pci.devspec``, the
        exact ``address`` or ``devname`` of a physical function also matches
        its virtual functions.

        :param device: a device with all ``HARDWARE_FIELDS`` set.
        :param parent_devname: interface name of the device's physical
            function; None if there is no physical function or no interface.
        """
        for entry in self.entries:
            if entry.matches(device, parent_devname):
                return entry
        return None


def _names_parent(
    condition: condition_spec.Condition,
    device: objects.PciDevice,
    parent_devname: str | None,
) -> bool:
    if condition.key == 'address':
        return condition.names_exactly(device.parent_addr)
    return condition.key == 'devname' and condition.names_exactly(
        parent_devname
    )


@dataclasses.dataclass(frozen=True, slots=True)
class _EntryParser:
    """Parses one entry; its errors name the entry and the key at fault."""

    text: str
    index: int

    def parse(self) -> Entry:
        document = self._load()
        if isinstance(document, list):
            return self._from_list(document)
        if not isinstance(document, dict):
            self._refuse(None, 'neither an object nor a list')
        if 'match' in document:
            return self._from_explicit(document)
        return self._from_flat(document)

    def _refuse(
        self, key: str | None, reason: str, example: str = EXAMPLE
    ) -> NoReturn:
        raise exception.InvalidPciInformation(self.text, key, reason, example)

    def _load(self) -> Any:
        try:
            return json.loads(
                self.text,
                object_pairs_hook=self._unique,
                parse_constant=lambda name: self._refuse(
                    None, f'{name} is not JSON'
                ),
            )
        except json.JSONDecodeError as error:
            self._refuse(
                None, f'not JSON: {error.msg} at character {error.pos + 1}'
            )
        except (ValueError, RecursionError) as error:
            # A number with thousands of digits, or thousands of nested lists.
            self._refuse(None, f'not usable JSON: {error}')

    def _unique(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        document: dict[str, Any] = {}
        for key, value in pairs:
            if key in document:
                self._refuse(key, 'given twice')
            document[key] = value
        return document

    def _from_explicit(self, document: dict[str, Any]) -> Entry:
        for key in document:
            if key not in (*RESERVED, *WORDS):
                self._refuse(
                    key,
                    'not allowed beside "match"; move it into '
                    '"match" or "extra_info"',
                )
        tags = document.get('extra_info', {})
        for key in ('match', 'extra_info'):
            if not isinstance(document.get(key, {}), dict):
                self._refuse(key, 'not an object')
        words = {key: document[key] for key in WORDS if key in document}
        for key in words:
            if key in tags:
                self._refuse(key, 'given twice, in "extra_info", too')
        return self._entry(document['match'], tags | words, document)

    def _from_list(self, document: list[Any]) -> Entry:
        if not 1 <= len(document) <= 2 or not all(
            isinstance(part, dict) for part in document
        ):
            self._refuse(
                None,
                'a list must be the match object, optionally followed by '
                'the extra info object; write each further entry as another '
                'value of the option',
                '[{"vendor_id": "8086"}, {"e.group": "10g"}]',
            )
        tags = {}
        for key, value in (document[1] if len(document) == 2 else {}).items():
            if not key.startswith(extra_info.PREFIX):
                self._refuse(
                    key,
                    'the second object of a list has keys e.<name> only',
                    '[{"vendor_id": "8086"}, {"e.group": "10g"}]',
                )
            tags[key.removeprefix(extra_info.PREFIX)] = value
        return self._entry(document[0], tags, {})

    def _from_flat(self, document: dict[str, Any]) -> Entry:
        match = {}
        tags = {}
        for key, value in document.items():
            if key == 'port' and 'resource_type' not in document:
                tags[key] = value
            elif key in match_key.KEYS:
                match[key] = value
            elif key in WORDS and value not in fields.DevType.ALL:
                tags[key] = value
            elif key == 'extra_info':
                self._refuse(key, 'can be used only together with "match"')
            elif key not in RESERVED:
                self._check_not_misspelled(key)
                tags[key] = value
        return self._entry(match, tags, document)

    def _check_not_misspelled(self, key: str) -> None:
        near = match_key.nearest(key)
        if near is not None:
            self._refuse(
                key,
                'would be a tag, so that the entry could match more devices '
                f'than intended: did you mean {near!r}? For a tag with this '
                'name use the form with "match" and "extra_info"',
                f'{{"{near}": {match_key.KEYS[near].example}}}',
            )

    def _entry(
        self,
        match: dict[str, Any],
        tags: dict[str, Any],
        flags: dict[str, Any],
    ) -> Entry:
        exclude = self._flag(flags, 'exclude')
        allow_in_use = self._flag(flags, 'allow_in_use')
        confirm_new = self._flag(flags, 'confirm_new')
        if exclude and tags:
            self._refuse('exclude', 'an excluding entry has no extra info')
        if exclude and allow_in_use:
            self._refuse('exclude', 'contradicts "allow_in_use"')
        if exclude and confirm_new:
            self._refuse('exclude', 'contradicts "confirm_new"')
        handlers, on_failure = self._handlers(flags)
        if exclude and 'handler' in flags:
            self._refuse('exclude', 'contradicts "handler"')
        return Entry(
            match=self._match(match),
            resource_type=self._resource_type(match),
            extra_info=self._tags(tags),
            exclude=exclude,
            allow_in_use=allow_in_use,
            confirm_new=confirm_new,
            handlers=handlers,
            on_failure=on_failure,
            count=self._count(flags),
            text=self.text,
            index=self.index,
        )

    def _flag(self, flags: dict[str, Any], key: str) -> bool:
        value = flags.get(key, False)
        if not isinstance(value, bool):
            self._refuse(
                key,
                'must be true or false, without quotes',
                f'{{"match": {{"address": "0000:65:00.*"}}, "{key}": true}}',
            )
        return value

    def _count(self, flags: dict[str, Any]) -> int | None:
        count = flags.get('count')
        if 'count' not in flags:
            return None
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            self._refuse(
                'count',
                'must be a number of devices from 1 on, without quotes',
                '{"match": {"vendor_id": "8086"}, "count": 4}',
            )
        return count

    def _resource_type(self, match: dict[str, Any]) -> str:
        """Return what the entry is about; its value has been parsed."""
        value = match.get('resource_type', _PCI)
        if not isinstance(value, str):
            self._refuse(
                'resource_type',
                'an entry is about one type of devices, not about several',
                '{"resource_type": "usb"}',
            )
        return value

    def _handlers(
        self, flags: dict[str, Any]
    ) -> tuple[tuple[str, ...] | None, str]:
        """Return the handlers, and what follows on their failure."""
        key = 'handler'
        try:
            handlers = (
                handler_names.parse(flags[key]) if key in flags else None
            )
            on_failure = handler_names.ON_FAILURE[0]
            key = 'on_failure'
            if key in flags:
                on_failure = handler_names.parse_on_failure(
                    flags[key], handlers
                )
        except ValueError as error:
            self._refuse(key, str(error), handler_names.EXAMPLE)
        return handlers, on_failure

    def _match(
        self, match: dict[str, Any]
    ) -> tuple[condition_spec.Condition, ...]:
        if not match:
            self._refuse(
                'match',
                'empty: it would offer every device of the host',
                '{"match": {"address": "*"}} if this is intended',
            )
        if 'address' in match and 'devname' in match:
            self._refuse(
                'devname', '"address" and "devname" exclude each other'
            )
        if 'port' in match and match.get('resource_type', _PCI) == _PCI:
            self._refuse(
                'port',
                'PCI functions have none',
                '{"resource_type": "usb", "port": "1-2.*"}',
            )
        return tuple(self._condition(key, match[key]) for key in sorted(match))

    def _condition(self, key: str, value: object) -> condition_spec.Condition:
        if key not in match_key.KEYS:
            near = match_key.nearest(key)
            hint = f', did you mean {near!r}?' if near else ''
            self._refuse(
                key,
                f'no such match key{hint}; the match keys are: '
                f'{", ".join(match_key.KEYS)}',
            )
        try:
            return condition_spec.Condition.parse(key, value)
        except ValueError as error:
            example = f'{{"{key}": {match_key.KEYS[key].example}}}'
            self._refuse(key, str(error), example)

    def _tags(self, tags: dict[str, Any]) -> dict[str, str]:
        for key in tags:
            if key.startswith(extra_info.PREFIX):
                plain = key.removeprefix(extra_info.PREFIX)
                self._refuse(key, f'omit the prefix here: {plain!r}')
            if key in (*RESERVED, *match_key.KEYS) and key not in _TAGS_TOO:
                self._refuse(key, 'is reserved and cannot name a tag')
        checked = {}
        for key, value in tags.items():
            try:
                extra_info.check_key(key)
                checked[key] = extra_info.check_value(value)
            except ValueError as error:
                self._refuse(key, str(error), '{"group": "10g"}')
        return checked
