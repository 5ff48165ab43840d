# SPDX-License-Identifier: Apache-2.0
"""The roles of users, which all other rules refer to."""

from oslo_policy import policy

#: The first part of the name of each rule that is enforced.
PREFIX = 'pci_passthrough'

ADMIN = 'rule:admin_api'
PROJECT_MEMBER = 'rule:project_member_or_admin'
PROJECT_READER = 'rule:project_reader_or_admin'


def list_rules() -> list[policy.RuleDefault]:
    """Return the rules."""
    return [
        policy.RuleDefault(
            'default',
            '!',
            'Denies everything that no rule allows.',
        ),
        policy.RuleDefault(
            'admin_api',
            'role:admin',
            'Operators of the cloud.',
        ),
        policy.RuleDefault(
            'project_member_or_admin',
            f'(role:member and project_id:%(project_id)s) or {ADMIN}',
            'Members of the project that a PCI flavor belongs to. No rule '
            'refers to this one by default. If the rules for creating and '
            'changing PCI flavors do, projects may have PCI flavors of their '
            'own.',
        ),
        policy.RuleDefault(
            'project_reader_or_admin',
            f'(role:reader and project_id:%(project_id)s) or {ADMIN}',
            'Readers of a project, who see the PCI flavors that it may use.',
        ),
    ]


def rule(
    noun: str,
    verb: str,
    check: str,
    description: str,
    *operations: tuple[str, str],
) -> policy.DocumentedRuleDefault:
    """Return a rule that is enforced.

    :param noun: the resource, for example ``pci_flavors``.
    :param verb: the action on it.
    :param check: the users to allow it to, one of the rules above.
    :param operations: method and path of each request that it applies to.
    """
    return policy.DocumentedRuleDefault(
        name=f'{PREFIX}:{noun}:{verb}',
        check_str=check,
        description=description,
        operations=[
            {'method': method, 'path': path} for method, path in operations
        ],
        scope_types=['project'],
    )
