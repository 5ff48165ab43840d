# SPDX-License-Identifier: Apache-2.0
"""Who somebody is, for all other rules to refer to."""

from oslo_policy import policy

#: Begins the name of each rule that is enforced.
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
            'What no rule allows is denied.',
        ),
        policy.RuleDefault(
            'admin_api',
            'role:admin',
            'Operators of the cloud.',
        ),
        policy.RuleDefault(
            'project_member_or_admin',
            f'(role:member and project_id:%(project_id)s) or {ADMIN}',
            'Members of the project that something belongs to. No rule '
            'refers to it by default. With it as the rule for creating and '
            'changing PCI flavors, projects may have PCI flavors of their '
            'own.',
        ),
        policy.RuleDefault(
            'project_reader_or_admin',
            f'(role:reader and project_id:%(project_id)s) or {ADMIN}',
            'Those who may look at what a project may use.',
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

    :param noun: what it is about, for example ``pci_flavors``.
    :param verb: what is done to it.
    :param check: who may, one of those above.
    :param operations: method and path of each request it is for.
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
