# SPDX-License-Identifier: Apache-2.0
"""From ``[pci] device_spec`` to ``[agent] pci_information``.

Pure. Source: ``nova.pci.whitelist`` and ``nova.pci.devspec``. Each object
becomes one entry in the same place, since the first match decides in both.
An entry that would mean more here than there is left out.
"""

from collections.abc import Sequence
import dataclasses
import json
import re
from typing import Any

from oslo_utils import strutils

from pci_passthrough import exception
from pci_passthrough import nova_conf
from pci_passthrough.nova_conf import placement_names
from pci_passthrough.specs import condition
from pci_passthrough.specs import extra_info
from pci_passthrough.specs import pci_information

EXAMPLE = (
    '{"vendor_id": "8086", "product_id": "1889", '
    '"physical_network": "physnet1"}'
)

#: Keys which say what a device must be; all others are tags.
_MATCH = ('vendor_id', 'product_id', 'address', 'devname')

#: Part of an address to its digits and greatest value.
_PARTS = {
    'domain': (4, 0xFFFF),
    'bus': (2, 0xFF),
    'slot': (2, 0x1F),
    'function': (1, 0x7),
}

#: Tags that Nova reads strictly as yes or no.
_FLAGS = ('managed', 'live_migratable', 'one_time_use')

#: Tags whose devices Nova treats in a way which there is not here.
_WITHHELD = {
    'remote_managed': 'devices that another machine manages',
    'one_time_use': 'devices that are given away once only',
}

# Where a regular expression means something else if case is ignored.
_CASE = re.compile('[A-Z]|[0-9]-[a-z]')


def translate(
    values: Sequence[nova_conf.Value],
) -> tuple[list[str], list[nova_conf.Finding]]:
    """Return the values of pci_information which mean the same.

    :param values: in the order in which Nova reads them.
    :returns: JSON documents, and what there is no equivalent for.
    :raises exception.InvalidConfiguration: for the first value that Nova
        refuses, too.
    """
    lines = []
    findings: list[nova_conf.Finding] = []
    for value in values:
        for part, spec in _specs(value, findings):
            line = _Entry(part, spec, findings).line()
            if line is not None:
                lines.append(line)
    return lines, findings


def _specs(
    value: nova_conf.Value, findings: list[nova_conf.Finding]
) -> list[tuple[nova_conf.Value, dict[str, Any]]]:
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
    if isinstance(document, dict):
        return [(value, document)]
    if not isinstance(document, list):
        raise value.malformed(None, 'neither an object nor a list', EXAMPLE)
    for spec in document:
        if not isinstance(spec, dict):
            raise value.malformed(
                None, f'{json.dumps(spec)} is no object', f'[{EXAMPLE}]'
            )
    return [(value.part(spec), spec) for spec in document]


@dataclasses.dataclass(frozen=True, slots=True)
class _Entry:
    """Translates one object; knows what to blame."""

    value: nova_conf.Value
    spec: dict[str, Any]
    findings: list[nova_conf.Finding]

    def line(self) -> str | None:
        document: dict[str, Any] = {'match': self._match()}
        # Read in any case: Nova refuses some values.
        tags = self._tags()
        withheld = [key for key in _WITHHELD if tags.pop(key, '') == 'true']
        for key in withheld:
            self._find(
                key,
                f'{_WITHHELD[key]} are not supported: the entry became an '
                'excluding one',
                "leave it in Nova's device_spec",
            )
        if withheld:
            document['exclude'] = True
        elif tags:
            document['extra_info'] = tags
        text = json.dumps(document)
        try:
            pci_information.PciInformation.parse([text])
        except exception.InvalidPciInformation as error:
            self._find(
                error.key,
                f'the entry was left out: {error.reason}',
                'write an entry for it by hand if devices are missed',
            )
            return None
        return text

    def _find(self, key: str | None, what: str, do: str) -> None:
        self.findings.append(nova_conf.Finding(str(self.value), key, what, do))

    def _refuse(
        self, key: str, reason: str, example: str = EXAMPLE
    ) -> exception.InvalidConfiguration:
        return self.value.malformed(key, reason, example)

    def _match(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key in ('vendor_id', 'product_id'):
            if (one := self._id(key)) is not None:
                found[key] = one
        address = self.spec.get('address') or None
        devname = self.spec.get('devname') or None
        if address is not None and devname is not None:
            raise self._refuse(
                'devname', 'it excludes "address", and vice versa'
            )
        if devname is not None:
            found['devname'] = self._devname(devname)
        elif isinstance(address, str):
            found['address'] = self._glob(address)
        elif isinstance(address, dict):
            found['address'] = self._expressions(address)
        elif address is not None:
            raise self._refuse(
                'address',
                'neither a string nor an object',
                '{"address": "0000:65:00.*"}',
            )
        if found.get('address') == '*' and len(found) > 1:
            del found['address']
        return found or {'address': '*'}

    def _id(self, key: str) -> str | None:
        text = self.spec.get(key, '*')
        if not isinstance(text, str):
            raise self._refuse(key, 'not a string: quote it')
        # Only the vendor's blanks are taken off before the asterisk is
        # looked for.
        if (text.strip() if key == 'vendor_id' else text) == '*':
            return None
        return self._hexadecimal(key, text, 4, 0xFFFF)

    def _hexadecimal(self, key: str, text: str, digits: int, most: int) -> str:
        try:
            number = int(text, 16)
        except ValueError as error:
            raise self._refuse(key, f'{text!r} is not hexadecimal') from error
        if number > most:
            raise self._refuse(key, f'{text!r} is greater than {most:x}')
        return format(number, f'0{digits}x')

    def _devname(self, name: object) -> str | dict[str, str]:
        text = str(name)
        if not any(wild in text for wild in '*?['):
            return text
        # No interface has such a name. It must not become a glob.
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
        found = f'{domain}:{bus}:{slot}.{function}'
        return '*' if found == '*:*:*.*' else found

    def _expressions(self, parts: dict[str, object]) -> str | dict[str, str]:
        for name in sorted(parts.keys() - _PARTS.keys()):
            self._find(
                'address',
                f'an address has no part {name!r}: left out, as Nova does',
                f'see whether one of {", ".join(_PARTS)} is meant',
            )
        found = {}
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
                found[name] = str(text)
        if _is_single(found):
            # As such it means the virtual functions of a physical one, too.
            return '{domain}:{bus}:{slot}.{function}'.format(**found)
        return {
            name: _expression(text, _PARTS[name][0])
            for name, text in found.items()
        } or '*'

    def _tags(self) -> dict[str, str]:
        found = {}
        for key, value in self.spec.items():
            if key in _MATCH:
                continue
            if value is None:
                self._find(
                    key,
                    'null was left out: a tag has a value',
                    'nothing has to be done unless devices for tunnelled '
                    'networks are meant, which stay with Nova',
                )
            elif (text := self._tag(key, value)) is not None:
                found[key] = text
        return found

    def _tag(self, key: str, value: object) -> str | None:
        """Return the value of a tag, None if it was left out."""
        if key in _FLAGS:
            return self._flag(key, value)
        if key == 'remote_managed':
            # As Nova does: what is no word for yes means no.
            is_set = strutils.bool_from_string(value)
            return 'true' if is_set else None
        if isinstance(value, list | dict):
            self._find(
                key,
                'the tag was left out: its value is no string',
                'give the devices a tag with a string for its value',
            )
            return None
        text = str(value)
        if key == 'resource_class' and text:
            text = placement_names.resource_class(text)
        elif key == 'traits' and text:
            text = placement_names.list_tag(placement_names.traits(text))
        return self._checked(key, text)

    def _flag(self, key: str, value: object) -> str:
        try:
            return str(strutils.bool_from_string(value, strict=True)).lower()
        except ValueError as error:
            raise self._refuse(
                key, 'neither yes nor no', f'{{"{key}": "yes"}}'
            ) from error

    def _checked(self, key: str, text: str) -> str | None:
        if key in condition.KEYS:
            self._find(
                key,
                'the tag was left out: Nova does not take it for a condition, '
                'and here it would be one',
                f'if a condition is meant, put {key!r} into "match"',
            )
            return None
        try:
            if key in pci_information.RESERVED:
                raise ValueError('is no name for a tag: it has a meaning')
            if key.startswith(extra_info.PREFIX):
                raise ValueError('names of tags begin with e. only in matches')
            extra_info.check_key(key)
            return extra_info.check_value(text)
        except ValueError as error:
            self._find(
                key,
                f'the tag was left out: {error}',
                'give the devices another tag, and match that',
            )
            return None


def _is_single(parts: dict[str, str]) -> bool:
    """Whether Nova finds one device by it, in ``is_single_address``."""
    return all(
        re.fullmatch(f'[0-9a-f]{{{digits}}}', parts.get(name, ''))
        for name, (digits, _) in _PARTS.items()
    )


def _expression(text: str, digits: int) -> str:
    """Return a regular expression with the meaning that Nova gives it.

    Here a number must have all of its digits, and case does not count.
    """
    if re.fullmatch('[0-9a-fA-F]+', text) and len(text) < digits:
        text += '.*'
    return f'(?-i:{text})' if _CASE.search(text) else text
