# SPDX-License-Identifier: Apache-2.0
"""Nova's PCI configuration in this project's words, and the other way.

Pure. ``device_spec`` and ``alias`` read what ``nova.conf`` says;
``to_device_spec`` and ``to_alias`` write it. What has no equivalent is left
out in the direction that gives away fewer devices, and becomes a finding.

The rules are those of Nova 34, where they are in ``nova.conf.pci`` (options
and their old names), ``nova.pci.whitelist`` and ``nova.pci.devspec`` (what
an entry of ``device_spec`` matches), ``nova.pci.request`` (the schema of
``alias``) and ``nova.pci.stats`` (what an alias is given).
"""

from collections.abc import Callable
import dataclasses
import json
from typing import Any
from typing import Self

from pci_passthrough import exception


@dataclasses.dataclass(frozen=True, slots=True)
class Value:
    """One value of an option, or one object of a list in it."""

    #: the file that it was read from
    file: str
    #: ``[<group>] <name>``
    option: str
    #: as it was written
    text: str

    def __str__(self) -> str:
        return f'{self.file}: {self.option} = {" ".join(self.text.split())}'

    def part(self, document: Any) -> Self:
        """Return what one object of the list was."""
        return dataclasses.replace(self, text=json.dumps(document))

    def malformed(
        self, key: str | None, reason: str, example: str
    ) -> exception.InvalidConfiguration:
        """Return the error of a value that Nova itself would refuse."""
        where = f'key {key!r}: ' if key is not None else ''
        return exception.InvalidConfiguration(
            f'{self}: {where}{reason}; right would be, for example: {example}'
        )

    def load(self, example: str, twice: Callable[[str], None]) -> Any:
        """Return the JSON document, read as ``oslo_serialization`` does.

        :param twice: is told each key that is given twice; the last counts.
        :raises: InvalidConfiguration
        """

        def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
            found: dict[str, Any] = {}
            for key, value in pairs:
                if key in found:
                    twice(key)
                found[key] = value
            return found

        try:
            return json.loads(self.text, object_pairs_hook=unique)
        except json.JSONDecodeError as error:
            hint = ' (JSON has double quotes)' if "'" in self.text else ''
            raise self.malformed(
                None,
                f'not JSON: {error.msg} at character {error.pos + 1}{hint}',
                example,
            ) from error
        except (ValueError, RecursionError) as error:
            raise self.malformed(
                None, f'not usable JSON: {error}', example
            ) from error


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """Something that the other side has no equivalent for."""

    #: option and entry, or PCI flavor
    where: str
    #: the key that it is about; None: the whole entry
    key: str | None
    #: what there is no equivalent for, and what was done instead
    what: str
    #: what the operator can do
    do: str

    def __str__(self) -> str:
        about = f'key {self.key!r}: ' if self.key is not None else ''
        return f'{self.where}: {about}{self.what}; {self.do}'
