# SPDX-License-Identifier: Apache-2.0
"""Validates the extra specs for PCI flavors when a Nova flavor gets them.

Only the grammar is checked. Whether the PCI flavor exists, and who may use
it, is checked when a server is created. Nova validates extra specs from
microversion 2.86 on.
"""

from typing import Any

from pci_passthrough import exception
from pci_passthrough.nova_plugin.compat import api
from pci_passthrough.specs import request as request_spec


class PciFlavorExtraSpec(api.ExtraSpecValidator):
    """Validates an extra spec with the grammar of requests."""

    def validate(self, name: str, value: str) -> None:
        """Check one extra spec.

        :raises ValidationError: the text names the part that is wrong.
        """
        try:
            request_spec.from_extra_specs({name: value})
        except exception.InvalidRequest as error:
            raise api.ValidationError(
                f'Validation failed; extra spec {name!r}: {error.text}'
            ) from error


def register() -> list[Any]:
    """Return the validators; nova-api calls it at its start."""
    return [
        PciFlavorExtraSpec(
            name=request_spec.EXTRA_SPEC,
            description=(
                'Devices by PCI flavor, as PCI_FLAVOR[|PCI_FLAVOR...]'
                '[:COUNT], separated by commas. Alternatives are in order of '
                'preference.'
            ),
            value={
                'type': str,
                'description': 'For example 10g:2,bigGPU|midGPU:1.',
            },
        ),
        PciFlavorExtraSpec(
            name=f'{request_spec.EXTRA_SPEC_PREFIX}{{pci_flavor}}',
            description='Devices of one PCI flavor.',
            value={'type': str, 'description': 'Their number.'},
            parameters=[
                {
                    'name': 'pci_flavor',
                    'description': 'Name or UUID of the PCI flavor.',
                    'pattern': '.+',
                }
            ],
        ),
    ]
