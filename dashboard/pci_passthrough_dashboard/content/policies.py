# SPDX-License-Identifier: Apache-2.0
"""The policies of the service, in the form of Horizon's ``policy_rules``."""

from pci_passthrough_dashboard import api

Rules = tuple[tuple[str, str], ...]


def rules(*names: str) -> Rules:
    """Return the rules that must all allow something.

    :param names: without the first part, for example ``pci_devices:list``.
    """
    return tuple(
        (api.POLICY_SCOPE, f'pci_passthrough:{name}') for name in names
    )
