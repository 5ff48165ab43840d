# SPDX-License-Identifier: Apache-2.0
"""Policies for hosts."""

from oslo_policy import policy

from pci_passthrough.api.policies import base

LIST = f'{base.PREFIX}:hosts:list'
DELETE = f'{base.PREFIX}:hosts:delete'


def list_rules() -> list[policy.DocumentedRuleDefault]:
    """Return the rules."""
    return [
        base.rule(
            'hosts',
            'list',
            base.ADMIN,
            'List the hosts whose agents have reported.',
            ('GET', '/v1/hosts'),
        ),
        base.rule(
            'hosts',
            'delete',
            base.ADMIN,
            'Forget a host that is down; by force, even one of which '
            'instances hold devices.',
            ('DELETE', '/v1/hosts/{host}'),
        ),
    ]
