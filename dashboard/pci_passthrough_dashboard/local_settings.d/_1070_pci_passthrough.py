# SPDX-License-Identifier: Apache-2.0
"""Lets Horizon check the policies of the service, by a copy of them.

Horizon executes this file within its settings.
"""

import os

import pci_passthrough_dashboard

_CONF = os.path.join(
    os.path.dirname(pci_passthrough_dashboard.__file__), 'conf'
)

# The operator's own policy file may be absent.
POLICY_FILES['pci-passthrough'] = os.path.join(  # noqa: F821
    _CONF, 'pci_passthrough_policy.yaml'
)
DEFAULT_POLICY_FILES['pci-passthrough'] = os.path.join(  # noqa: F821
    _CONF, 'default_policies.yaml'
)
