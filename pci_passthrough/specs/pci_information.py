# SPDX-License-Identifier: Apache-2.0
"""The compute host's list of what it offers.

Each value of ``[agent] pci_information`` is one JSON document, in one of
four forms which mean the same::

    {"match": {"vendor_id": "8086"}, "extra_info": {"group": "10g"}}
    {"match": {"address": "0000:65:00.*"}, "exclude": true}
    [{"vendor_id": "8086"}, {"e.group": "10g"}]
    {"vendor_id": "8086", "group": "10g"}

The third is that of the original blueprint, the fourth that of Nova's
``[pci] device_spec``.
"""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import json
from typing import Any
from typing import NoReturn
from typing import Self

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.specs import condition
from pci_passthrough.specs import extra_info

EXAMPLE = (
    '{"match": {"vendor_id": "8086", "product_id": "10ca"}, '
    '"extra_info": {"group": "10g"}}'
)

#: Keys of the first form, which no tag may be named.
RESERVED = ('match', 'extra_info', 'exclude', 'allow_in_use')


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """One entry: a set of devices, and what is to be done with them.

    Entries that mean the same are equal, in whatever form they were written.
    """

    #: all must hold; sorted by key
    match: tuple[condition.Condition, ...]
    #: tags for the devices
    extra_info: Mapping[str, str] = dataclasses.field(hash=False)
    #: the devices are not offered
    exclude: bool
    #: the devices are offered even if the host uses them
    allow_in_use: bool
    #: as it was written
    text: str = dataclasses.field(compare=False)
    #: place in the list, from 0
    index: int = dataclasses.field(compare=False)

    @property
    def canonical(self) -> str:
        """The entry as it was written, blanks and order of keys aside."""
        return json.dumps(json.loads(self.text), sort_keys=True)

    def matches(
        self, device: objects.PciDevice, parent_devname: str | None = None
    ) -> bool:
        """Whether all conditions hold for a device."""
        return all(
            one.accepts(one.value_of(device))
            or _holds_for_parent(one, device, parent_devname)
            for one in self.match
        )


@dataclasses.dataclass(frozen=True, slots=True)
class PciInformation:
    """All entries of a host, in order."""

    entries: tuple[Entry, ...]

    @classmethod
    def parse(cls, values: Sequence[str]) -> Self:
        """Read the values of the option.

        :param values: one JSON document each.
        :raises exception.InvalidPciInformation: for the first wrong entry.
        """
        return cls(
            tuple(
                _Reader(text, index).read()
                for index, text in enumerate(values)
            )
        )

    def find(
        self, device: objects.PciDevice, parent_devname: str | None = None
    ) -> Entry | None:
        """Return the first entry that matches a device, or None.

        It may be an excluding one. As in ``nova.pci.devspec`` the exact
        ``address`` or ``devname`` of a physical function means its virtual
        functions, too.

        :param device: with all ``HARDWARE_FIELDS`` set.
        :param parent_devname: interface name of the device's physical
            function, if it has one.
        """
        for entry in self.entries:
            if entry.matches(device, parent_devname):
                return entry
        return None


def _holds_for_parent(
    one: condition.Condition,
    device: objects.PciDevice,
    parent_devname: str | None,
) -> bool:
    if one.key == 'address':
        return one.names(device.parent_addr)
    return one.key == 'devname' and one.names(parent_devname)


@dataclasses.dataclass(frozen=True, slots=True)
class _Reader:
    """Reads one entry; knows what to blame."""

    text: str
    index: int

    def read(self) -> Entry:
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
            # A number of thousands of digits; nesting of thousands of levels.
            self._refuse(None, f'not usable JSON: {error}')

    def _unique(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                self._refuse(key, 'given twice')
            found[key] = value
        return found

    def _from_explicit(self, document: dict[str, Any]) -> Entry:
        for key in document:
            if key not in RESERVED:
                self._refuse(
                    key,
                    'has no place beside "match"; put it into '
                    '"match" or "extra_info"',
                )
        tags = document.get('extra_info', {})
        for key in ('match', 'extra_info'):
            if not isinstance(document.get(key, {}), dict):
                self._refuse(key, 'not an object')
        return self._entry(document['match'], tags, document)

    def _from_list(self, document: list[Any]) -> Entry:
        if not 1 <= len(document) <= 2 or not all(
            isinstance(part, dict) for part in document
        ):
            self._refuse(
                None,
                'a list has to be the match object and the extra info '
                'object; further entries are further values of the option',
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
            if key in condition.KEYS:
                match[key] = value
            elif key == 'extra_info':
                self._refuse(key, 'goes together with "match"')
            elif key not in RESERVED:
                self._check_no_slip(key)
                tags[key] = value
        return self._entry(match, tags, document)

    def _check_no_slip(self, key: str) -> None:
        near = condition.nearest_key(key)
        if near is not None:
            self._refuse(
                key,
                f'would be a tag, and the entry match more than meant: did '
                f'you mean {near!r}? A tag of that name has to be written '
                'with "match" and "extra_info"',
                f'{{"{near}": {condition.KEYS[near].example}}}',
            )

    def _entry(
        self,
        match: dict[str, Any],
        tags: dict[str, Any],
        flags: dict[str, Any],
    ) -> Entry:
        exclude = self._flag(flags, 'exclude')
        allow_in_use = self._flag(flags, 'allow_in_use')
        if exclude and tags:
            self._refuse('exclude', 'an excluded device has no extra info')
        if exclude and allow_in_use:
            self._refuse('exclude', 'contradicts "allow_in_use"')
        return Entry(
            match=self._match(match),
            extra_info=self._tags(tags),
            exclude=exclude,
            allow_in_use=allow_in_use,
            text=self.text,
            index=self.index,
        )

    def _flag(self, flags: dict[str, Any], key: str) -> bool:
        value = flags.get(key, False)
        if not isinstance(value, bool):
            self._refuse(
                key,
                'has to be true or false, without quotes',
                f'{{"match": {{"address": "0000:65:00.*"}}, "{key}": true}}',
            )
        return value

    def _match(self, match: dict[str, Any]) -> tuple[condition.Condition, ...]:
        if not match:
            self._refuse(
                'match',
                'empty: it would offer every device of the host',
                '{"match": {"address": "*"}} if that is meant',
            )
        if 'address' in match and 'devname' in match:
            self._refuse(
                'devname', '"address" and "devname" exclude each other'
            )
        return tuple(self._condition(key, match[key]) for key in sorted(match))

    def _condition(self, key: str, value: object) -> condition.Condition:
        if key not in condition.KEYS:
            near = condition.nearest_key(key)
            hint = f', did you mean {near!r}?' if near else ''
            self._refuse(
                key,
                f'no such match key{hint}; there are: '
                f'{", ".join(condition.KEYS)}',
            )
        try:
            return condition.Condition.parse(key, value)
        except ValueError as error:
            example = f'{{"{key}": {condition.KEYS[key].example}}}'
            self._refuse(key, str(error), example)

    def _tags(self, tags: dict[str, Any]) -> dict[str, str]:
        for key in tags:
            if key.startswith(extra_info.PREFIX):
                plain = key.removeprefix(extra_info.PREFIX)
                self._refuse(key, f'leave the prefix out here: {plain!r}')
            if key in RESERVED or key in condition.KEYS:
                self._refuse(key, 'is no name for a tag: it has a meaning')
        found = {}
        for key, value in tags.items():
            try:
                extra_info.check_key(key)
                found[key] = extra_info.check_value(value)
            except ValueError as error:
                self._refuse(key, str(error), '{"group": "10g"}')
        return found
