# SPDX-License-Identifier: Apache-2.0
"""Policies for pools."""

from oslo_policy import policy

from pci_passthrough.api.policies import base

LIST = f'{base.PREFIX}:pci_pools:list'


def list_rules() -> list[policy.DocumentedRuleDefault]:
    """Return the rules."""
    return [
        base.rule(
            'pci_pools',
            'list',
            base.ADMIN,
            'List the pools of all hosts. Also needed to see in a dry run '
            'which pools a PCI flavor gains and loses.',
            ('GET', '/v1/pci-pools'),
        ),
    ]
