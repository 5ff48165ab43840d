# SPDX-License-Identifier: Apache-2.0
"""Checks of our extra specs when a flavor gets them.

Only what they say as such is looked at: whether a PCI flavor exists, and who
may use it, is asked when a server is made. Nova looks from microversion 2.86
on.
"""

from typing import Any

from pci_passthrough import exception
from pci_passthrough.nova_plugin.compat import api
from pci_passthrough.specs import request as request_spec


class PciFlavorExtraSpec(api.ExtraSpecValidator):
    """Has a request's own grammar say what is wrong with it."""

    def validate(self, name: str, value: str) -> None:
        """Check one extra spec.

        :raises ValidationError: with the part at fault.
        """
        try:
            request_spec.from_extra_specs({name: value})
        except exception.InvalidRequest as error:
            raise api.ValidationError(
                f'Validation failed; extra spec {name!r}: {error.text}'
            ) from error


def register() -> list[Any]:
    """Return the validators; called by nova-api when it is loaded."""
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
