# SPDX-License-Identifier: Apache-2.0
"""Translates Nova's ``[pci]`` options into this project's and back. Pure.

====================  =======================================================
``from_device_spec``  Nova's ``device_spec`` to pci_information
``from_alias``        Nova's ``alias`` to PCI flavors
``to_device_spec``    pci_information to Nova's ``device_spec``
``to_alias``          PCI flavors to Nova's ``alias``
``expansion``         expands a condition into the values that Nova compares
``placement_names``   Placement's names of resource classes and traits
====================  =======================================================

Only ``pci-passthrough-manage import-nova`` and ``export-nova`` use this
package. A translation never offers more devices than the original; whatever
has no equivalent, or is surely a mistake, is left out and reported as a
``specs.lint.Finding``.

The rules are those of Nova 34: ``nova.conf.pci`` (options and their
deprecated names), ``nova.pci.whitelist`` and ``nova.pci.devspec`` (which
devices an entry of ``device_spec`` matches), ``nova.pci.request`` (the
schema of ``alias``) and ``nova.pci.stats`` (which devices an alias gets).
"""

import dataclasses
import json
from typing import Any
from typing import Self

from pci_passthrough import exception
from pci_passthrough.specs import lint


@dataclasses.dataclass(frozen=True, slots=True)
class OptionValue:
    """One value of an option, or one object of a list in the value."""

    #: the configuration file
    file: str
    #: ``[<group>] <name>``
    option: str
    #: the value as the operator wrote it
    text: str

    def __str__(self) -> str:
        return f'{self.file}: {self.option} = {" ".join(self.text.split())}'

    def element(self, document: Any) -> Self:
        """Return one object of the value's list as a value of its own."""
        return dataclasses.replace(self, text=json.dumps(document))

    def malformed(
        self, key: str | None, reason: str, example: str
    ) -> exception.InvalidConfiguration:
        """Return the error for a value that Nova refuses, too."""
        where = f'key {key!r}: ' if key is not None else ''
        return exception.InvalidConfiguration(
            f'{self}: {where}{reason}; right would be, for example: {example}'
        )

    def load(self, example: str, findings: list[lint.Finding]) -> Any:
        """Return the parsed JSON document, like ``oslo_serialization``.

        :param findings: gets a finding for each key that an object has
            twice; the last value is used, as in Nova.
        :raises exception.InvalidConfiguration: not JSON.
        """

        def to_dict(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
            document: dict[str, Any] = {}
            for key, value in pairs:
                if key in document:
                    findings.append(
                        lint.Finding(
                            str(self),
                            key,
                            'given twice: the last value was used, as in Nova',
                            'check that the last value is the intended one',
                            is_mistake=True,
                        )
                    )
                document[key] = value
            return document

        try:
            return json.loads(self.text, object_pairs_hook=to_dict)
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
