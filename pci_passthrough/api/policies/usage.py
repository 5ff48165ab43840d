# SPDX-License-Identifier: Apache-2.0
"""Policies for the devices that projects use."""

from oslo_policy import policy

from pci_passthrough.api.policies import base

_NOUN = 'usages'
_OPERATION = ('GET', '/v1/usages')

LIST = f'{base.PREFIX}:{_NOUN}:list'
ALL_PROJECTS = f'{base.PREFIX}:{_NOUN}:all_projects'


def list_rules() -> list[policy.DocumentedRuleDefault]:
    """Return the rules."""
    return [
        base.rule(
            _NOUN,
            'list',
            base.PROJECT_READER,
            'List how many devices the project uses, and its limits.',
            _OPERATION,
        ),
        base.rule(
            _NOUN,
            'all_projects',
            base.ADMIN,
            'List how many devices each project uses, and their limits.',
            _OPERATION,
        ),
    ]
