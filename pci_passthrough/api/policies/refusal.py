# SPDX-License-Identifier: Apache-2.0
"""Policies for refusals of Nova's scheduler."""

from oslo_policy import policy

from pci_passthrough.api.policies import base

_NOUN = 'refusals'
_OPERATION = ('GET', '/v1/refusals')

LIST = f'{base.PREFIX}:{_NOUN}:list'
ALL_PROJECTS = f'{base.PREFIX}:{_NOUN}:all_projects'
HOSTS = f'{base.PREFIX}:{_NOUN}:hosts'


def list_rules() -> list[policy.DocumentedRuleDefault]:
    """Return the rules."""
    return [
        base.rule(
            _NOUN,
            'list',
            base.PROJECT_READER,
            "List why the project's servers found no host, without hosts and "
            'numbers.',
            _OPERATION,
        ),
        base.rule(
            _NOUN,
            'all_projects',
            base.ADMIN,
            'List refusals to the servers of all projects, also those of '
            'which the project is unknown.',
            _OPERATION,
        ),
        base.rule(
            _NOUN,
            'hosts',
            base.ADMIN,
            'See the hosts that were refused and their numbers; also '
            'refusals after which other hosts were left.',
            _OPERATION,
        ),
    ]
