# SPDX-License-Identifier: Apache-2.0
"""The policies, with their defaults: one file a noun."""

from oslo_config import cfg
from oslo_policy import policy

from pci_passthrough.api.policies import base
from pci_passthrough.api.policies import host
from pci_passthrough.api.policies import pci_device
from pci_passthrough.api.policies import pci_flavor
from pci_passthrough.api.policies import pci_pool
from pci_passthrough.api.policies import refusal
from pci_passthrough.api.policies import usage
import pci_passthrough.conf


def list_rules() -> list[policy.RuleDefault]:
    """Return all rules, for ``oslopolicy-sample-generator``."""
    return [
        *base.list_rules(),
        *pci_flavor.list_rules(),
        *pci_device.list_rules(),
        *pci_pool.list_rules(),
        *host.list_rules(),
        *refusal.list_rules(),
        *usage.list_rules(),
    ]


def enforcer(conf: cfg.ConfigOpts) -> policy.Enforcer:
    """Return an enforcer of the rules and of the operator's policy file."""
    rules = policy.Enforcer(conf)
    rules.register_defaults(list_rules())
    return rules


def get_enforcer() -> policy.Enforcer:
    """Return an enforcer for oslo.policy's own commands.

    Those parse the command line themselves.
    """
    conf = pci_passthrough.conf.load([], 'pci-passthrough-api')
    return enforcer(conf)
