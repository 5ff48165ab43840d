# SPDX-License-Identifier: Apache-2.0
"""Translates Nova's ``[pci] device_spec`` to pci_information. Pure.

Source: ``nova.pci.whitelist`` and ``nova.pci.devspec``. Each object becomes
one entry at the same position, because the first match decides in both
options. An object whose entry would match more devices than in Nova is left
out, and so is one that matches more devices in Nova than was surely meant.
"""

from collections.abc import Collection
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import difflib
import json
import re
from typing import Any

from oslo_utils import strutils

from pci_passthrough import exception
from pci_passthrough import nova_conf
from pci_passthrough.nova_conf import placement_names
from pci_passthrough.objects import fields
from pci_passthrough.specs import extra_info
from pci_passthrough.specs import lint
from pci_passthrough.specs import match_key
from pci_passthrough.specs import pci_information

EXAMPLE = (
    '{"vendor_id": "8086", "product_id": "1889", '
    '"physical_network": "physnet1"}'
)

#: Keys with conditions for devices; all other keys are tags.
_CONDITIONS = ('vendor_id', 'product_id', 'address', 'devname')

#: Part of an address to its number of digits and greatest value.
_PARTS = {
    'domain': (4, 0xFFFF),
    'bus': (2, 0xFF),
    'slot': (2, 0x1F),
    'function': (1, 0x7),
}

#: Tags that Nova parses strictly as yes or no.
_FLAGS = ('managed', 'live_migratable', 'one_time_use')

#: Tags with a special treatment in Nova that this project does not have.
_UNSUPPORTED = {
    'remote_managed': 'remotely managed devices',
    'one_time_use': 'devices for one-time use',
}

#: Parts of a regular expression in which case matters.
_CASE = re.compile('[A-Z]|[0-9]-[a-z]')


def translate(
    values: Sequence[nova_conf.OptionValue],
) -> tuple[list[str], list[lint.Finding]]:
    """Return the equivalent values of pci_information.

    :param values: the values of device_spec, in Nova's order.
    :returns: JSON documents, and findings about the rest.
    :raises exception.InvalidConfiguration: for the first value that Nova
        refuses, too.
    """
    entries, places = [], []
    findings: list[lint.Finding] = []
    for value in values:
        for element, spec in _specs(value, findings):
            entry = _SpecTranslator(element, spec, findings).entry()
            if entry is not None:
                entries.append(entry)
                places.append(str(element))
    information = pci_information.PciInformation.parse(entries)
    findings += lint.of_entries(information.entries, places)
    return entries, findings


def _specs(
    value: nova_conf.OptionValue, findings: list[lint.Finding]
) -> list[tuple[nova_conf.OptionValue, dict[str, Any]]]:
    document = value.load(EXAMPLE, findings)
    if isinstance(document, dict):
        return [(value, document)]
    if not isinstance(document, list):
        raise value.malformed(None, 'neither an object nor a list', EXAMPLE)
    for spec in document:
        if not isinstance(spec, dict):
            raise value.malformed(
                None, f'{json.dumps(spec)} is no object', f'[{EXAMPLE}]'
            )
    return [(value.element(spec), spec) for spec in document]


@dataclasses.dataclass(frozen=True, slots=True)
class _SpecTranslator:
    """Translates one object of device_spec; reports what has no equivalent."""

    value: nova_conf.OptionValue
    spec: dict[str, Any]
    findings: list[lint.Finding]

    def entry(self) -> str | None:
        """Return the equivalent entry as JSON, None if there is none."""
        match = self._match()
        misspelled = {
            key: meant
            for key, value in self.spec.items()
            if (meant := _meant(key, value)) and meant not in match
        }
        # Also for an entry that is left out or that excludes, because Nova
        # refuses some values.
        tags = self._tags(misspelled)
        is_too_wide = self._is_too_wide(match, misspelled)
        document: dict[str, Any] = {'match': match or {'address': '*'}}
        unsupported = [k for k in _UNSUPPORTED if tags.pop(k, '') == 'true']
        for key in unsupported:
            self._report(
                key,
                f'{_UNSUPPORTED[key]} are not supported: the object became '
                'an excluding entry',
                "leave the object in Nova's device_spec",
            )
        if unsupported:
            document['exclude'] = True
        elif is_too_wide:
            return None
        elif tags:
            document['extra_info'] = tags
        text = json.dumps(document)
        try:
            pci_information.PciInformation.parse([text])
        except exception.InvalidPciInformation as error:
            self._report(
                error.key,
                f'the object was left out: {error.reason}',
                'write an entry by hand if devices are missing',
                is_mistake=True,
            )
            return None
        return text

    def _is_too_wide(
        self, match: Mapping[str, Any], misspelled: Mapping[str, str]
    ) -> bool:
        """Report and return whether more devices match than surely meant.

        Nova takes a misspelled condition for a tag, which restricts nothing.
        """
        before = len(self.findings)
        for key, meant in misspelled.items():
            hint = '' if key == meant else f': did you mean {meant!r}?'
            self._report(
                key,
                'its devices are not offered: for Nova this is a tag and no '
                f'condition, so devices of every {meant} match{hint}',
                'correct the object and import it again, or write an entry '
                f'with {meant!r} in "match"',
                is_mistake=True,
            )
        address = self.spec.get('address')
        parts = address if isinstance(address, dict) else {}
        for name in sorted(parts.keys() - _PARTS.keys()):
            near = difflib.get_close_matches(name, _PARTS, n=1, cutoff=0.5)
            hint = f'did you mean {near[0]!r}?' if near else 'remove it'
            self._report(
                'address',
                'its devices are not offered: an address has no part '
                f'{name!r}, so Nova ignores it',
                f'the parts are {", ".join(_PARTS)}: {hint}',
                is_mistake=True,
            )
        if not match and not self.spec.keys() & {'vendor_id', 'product_id'}:
            self._report(
                None,
                'its devices are not offered: it has no condition, so for '
                'Nova every device of the host matches',
                'add vendor_id and product_id, address or devname; or write '
                '{"match": {"address": "*"}} if every device is meant',
                is_mistake=True,
            )
        return len(self.findings) > before

    def _report(
        self,
        key: str | None,
        problem: str,
        advice: str,
        *,
        is_mistake: bool = False,
    ) -> None:
        self.findings.append(
            lint.Finding(str(self.value), key, problem, advice, is_mistake)
        )

    def _refuse(
        self, key: str, reason: str, example: str = EXAMPLE
    ) -> exception.InvalidConfiguration:
        return self.value.malformed(key, reason, example)

    def _match(self) -> dict[str, Any]:
        """Return the conditions; empty if every device matches."""
        match: dict[str, Any] = {}
        for key in ('vendor_id', 'product_id'):
            if (hex_id := self._id(key)) is not None:
                match[key] = hex_id
        address = self.spec.get('address') or None
        devname = self.spec.get('devname') or None
        if address is not None and devname is not None:
            raise self._refuse(
                'devname', '"address" and "devname" exclude each other'
            )
        if devname is not None:
            match['devname'] = self._devname(devname)
        elif isinstance(address, str):
            match['address'] = self._glob(address)
        elif isinstance(address, dict):
            match['address'] = self._expressions(address)
        elif address is not None:
            raise self._refuse(
                'address',
                'neither a string nor an object',
                '{"address": "0000:65:00.*"}',
            )
        if match.get('address') == '*' and len(match) > 1:
            del match['address']
        return match

    def _id(self, key: str) -> str | None:
        text = self.spec.get(key, '*')
        if not isinstance(text, str):
            raise self._refuse(key, 'not a string: quote it')
        # As in Nova: only the vendor id is stripped before it is compared
        # with the asterisk.
        if (text.strip() if key == 'vendor_id' else text) == '*':
            return None
        return self._hexadecimal(key, text, 4, 0xFFFF)

    def _hexadecimal(
        self, key: str, text: str, digits: int, maximum: int
    ) -> str:
        try:
            number = int(text, 16)
        except ValueError as error:
            raise self._refuse(key, f'{text!r} is not hexadecimal') from error
        if number > maximum:
            raise self._refuse(key, f'{text!r} is greater than {maximum:x}')
        return format(number, f'0{digits}x')

    def _devname(self, name: object) -> str | dict[str, str]:
        text = str(name)
        if not any(wildcard in text for wildcard in '*?['):
            return text
        # No interface has such a name, and the name must not become a glob.
        return {'regex': re.escape(text)}

    def _glob(self, text: str) -> str:
        front, _, function = text.partition('.')
        fields = front.split(':') if front else []
        if len(fields) > 3:
            raise self._refuse(
                'address',
                f'{text!r} has more parts than dddd:bb:ss.f',
                '{"address": "0000:65:00.*"}',
            )
        parts = ['*'] * (3 - len(fields))
        parts += [field.strip() or '*' for field in fields]
        parts.append(function.strip() if function else '*')
        domain, bus, slot, function = (
            part
            if part == '*'
            else self._hexadecimal('address', part, *limits)
            for part, limits in zip(parts, _PARTS.values(), strict=True)
        )
        glob = f'{domain}:{bus}:{slot}.{function}'
        return '*' if glob == '*:*:*.*' else glob

    def _expressions(self, parts: dict[str, object]) -> str | dict[str, str]:
        expressions = {}
        for name in _PARTS:
            text = parts.get(name, '.*')
            try:
                re.compile(text)  # type: ignore[call-overload]
            except (re.error, TypeError, OverflowError) as error:
                raise self._refuse(
                    'address',
                    f'{name}: {text!r} is no regular expression: {error}',
                    '{"address": {"bus": "02", "function": "[0-3]"}}',
                ) from error
            if text not in ('', '.*'):
                expressions[name] = str(text)
        if _is_single_address(expressions):
            # As a string, as in Nova, the address of a physical function
            # also matches its virtual functions.
            return '{domain}:{bus}:{slot}.{function}'.format(**expressions)
        return {
            name: _expression(text, _PARTS[name][0])
            for name, text in expressions.items()
        } or '*'

    def _tags(self, misspelled: Collection[str]) -> dict[str, str]:
        tags = {}
        for key, value in self.spec.items():
            if key in _CONDITIONS or key in misspelled:
                continue
            if value is None:
                self._report(
                    key,
                    'null was left out: a tag needs a value',
                    'do nothing, unless the devices are for tunnelled '
                    "networks: leave the object in Nova's device_spec then",
                )
            elif (text := self._tag(key, value)) is not None:
                tags[key] = text
        return tags

    def _tag(self, key: str, value: object) -> str | None:
        """Return the value of a tag, None if the tag is left out."""
        if key in _FLAGS:
            return self._flag(key, value)
        if key == 'remote_managed':
            # As in Nova: every other value than a word for yes means no.
            is_set = strutils.bool_from_string(value)
            return 'true' if is_set else None
        if isinstance(value, list | dict):
            self._report(
                key,
                'the tag was left out: its value is no string',
                'give the devices a tag with a string value',
            )
            return None
        text = str(value)
        if key == 'resource_class' and text:
            text = placement_names.resource_class(text)
        elif key == 'traits' and text:
            text = placement_names.list_tag(placement_names.traits(text))
        return self._checked_tag(key, text)

    def _flag(self, key: str, value: object) -> str:
        try:
            return str(strutils.bool_from_string(value, strict=True)).lower()
        except ValueError as error:
            raise self._refuse(
                key, 'neither yes nor no', f'{{"{key}": "yes"}}'
            ) from error

    def _checked_tag(self, key: str, text: str) -> str | None:
        try:
            if key in pci_information.RESERVED:
                raise ValueError('the key is reserved and cannot name a tag')
            if key.startswith(extra_info.PREFIX):
                raise ValueError('tags have the prefix e. in PCI flavors only')
            extra_info.check_key(key)
            return extra_info.check_value(text)
        except ValueError as error:
            near = extra_info.nearest(key)
            self._report(
                key,
                f'the tag was left out: {error}'
                + (f'; did you mean {near!r}?' if near else ''),
                'give the devices another tag, and match the other tag',
                is_mistake=near is not None,
            )
            return None


def _meant(key: str, value: object) -> str | None:
    """Return the condition that a key surely means; None if it is a tag.

    The conditions of pci_information that Nova does not have count only if
    they are spelled out.
    """
    if key in _CONDITIONS:
        return None
    meant = match_key.nearest(key)
    is_spelled_out = meant == key.lower().replace('-', '_')
    is_dev_type = meant == 'dev_type' and value in fields.DevType.ALL
    is_sure = meant in _CONDITIONS or is_spelled_out or is_dev_type
    return meant if is_sure else None


def _is_single_address(parts: dict[str, str]) -> bool:
    """Return whether Nova's ``is_single_address`` holds for the parts."""
    return all(
        re.fullmatch(f'[0-9a-f]{{{digits}}}', parts.get(name, ''))
        for name, (digits, _) in _PARTS.items()
    )


def _expression(text: str, digits: int) -> str:
    """Return a regular expression with the same meaning as in Nova.

    In pci_information a number must have all digits, and case is ignored.
    """
    if re.fullmatch('[0-9a-fA-F]+', text) and len(text) < digits:
        text += '.*'
    return f'(?-i:{text})' if _CASE.search(text) else text
