# SPDX-License-Identifier: Apache-2.0
"""Rules about PCI flavors."""

from oslo_policy import policy

from pci_passthrough.api.policies import base

_NOUN = 'pci_flavors'
_ALL = '/v1/pci-flavors'
_ONE = '/v1/pci-flavors/{pci_flavor}'

LIST = f'{base.PREFIX}:{_NOUN}:list'
SHOW = f'{base.PREFIX}:{_NOUN}:show'
ALL_PROJECTS = f'{base.PREFIX}:{_NOUN}:all_projects'
CREATE = f'{base.PREFIX}:{_NOUN}:create'
CREATE_FOR_PROJECT = f'{base.PREFIX}:{_NOUN}:create_for_project'
PUBLICIZE = f'{base.PREFIX}:{_NOUN}:publicize'
UPDATE = f'{base.PREFIX}:{_NOUN}:update'
DELETE = f'{base.PREFIX}:{_NOUN}:delete'
FORCE = f'{base.PREFIX}:{_NOUN}:force'
ACCESS_LIST = f'{base.PREFIX}:{_NOUN}:access:list'
ACCESS_ADD = f'{base.PREFIX}:{_NOUN}:access:add'
ACCESS_REMOVE = f'{base.PREFIX}:{_NOUN}:access:remove'
AVAILABILITY = f'{base.PREFIX}:{_NOUN}:availability'
AVAILABILITY_COUNTS = f'{base.PREFIX}:{_NOUN}:availability_counts'
EXPLAIN = f'{base.PREFIX}:{_NOUN}:explain'
EXPLAIN_HOSTS = f'{base.PREFIX}:{_NOUN}:explain_hosts'


def list_rules() -> list[policy.DocumentedRuleDefault]:
    """Return the rules."""
    return [*_of_reading(), *_of_changing(), *_of_access(), *_of_answers()]


def _of_reading() -> list[policy.DocumentedRuleDefault]:
    return [
        base.rule(
            _NOUN,
            'list',
            base.PROJECT_READER,
            'List the PCI flavors that the project may use.',
            ('GET', _ALL),
        ),
        base.rule(
            _NOUN,
            'show',
            base.PROJECT_READER,
            'Show a PCI flavor that the project may use. Any other does not '
            'exist for it (404).',
            ('GET', _ONE),
        ),
        base.rule(
            _NOUN,
            'all_projects',
            base.ADMIN,
            'See the private PCI flavors of all projects, and of each PCI '
            'flavor its owner and the projects that it is shared with.',
            ('GET', _ALL),
            ('GET', _ONE),
        ),
    ]


def _of_changing() -> list[policy.DocumentedRuleDefault]:
    return [
        base.rule(
            _NOUN,
            'create',
            base.ADMIN,
            'Create a PCI flavor that belongs to the own project. A match '
            'expression can select any device which operators offer.',
            ('POST', _ALL),
        ),
        base.rule(
            _NOUN,
            'create_for_project',
            base.ADMIN,
            'Create a PCI flavor that belongs to another project, or to none.',
            ('POST', _ALL),
        ),
        base.rule(
            _NOUN,
            'publicize',
            base.ADMIN,
            'Let all projects use a PCI flavor, at its creation or later.',
            ('POST', _ALL),
            ('PATCH', _ONE),
        ),
        base.rule(
            _NOUN,
            'update',
            base.ADMIN,
            'Change a PCI flavor.',
            ('PATCH', _ONE),
        ),
        base.rule(
            _NOUN,
            'delete',
            base.ADMIN,
            'Delete a PCI flavor that nothing holds devices by.',
            ('DELETE', _ONE),
        ),
        base.rule(
            _NOUN,
            'force',
            base.ADMIN,
            'Change or delete a PCI flavor although instances hold devices '
            'by it that it would not match any more.',
            ('PATCH', _ONE),
            ('DELETE', _ONE),
        ),
    ]


def _of_access() -> list[policy.DocumentedRuleDefault]:
    one = f'{_ONE}/access/{{project_id}}'
    return [
        base.rule(
            _NOUN,
            'access:list',
            base.ADMIN,
            'List the projects that a PCI flavor is shared with.',
            ('GET', f'{_ONE}/access'),
        ),
        base.rule(
            _NOUN,
            'access:add',
            base.ADMIN,
            'Share a PCI flavor with a project.',
            ('PUT', one),
            ('POST', _ALL),
            ('PATCH', _ONE),
        ),
        base.rule(
            _NOUN,
            'access:remove',
            base.ADMIN,
            'Share a PCI flavor with a project no longer.',
            ('DELETE', one),
            ('PATCH', _ONE),
        ),
    ]


def _of_answers() -> list[policy.DocumentedRuleDefault]:
    availability = ('GET', f'{_ONE}/availability')
    explain = ('GET', f'{_ONE}/explain')
    return [
        base.rule(
            _NOUN,
            'availability',
            base.PROJECT_READER,
            'Ask whether a PCI flavor is available: none, low or ok.',
            availability,
            ('GET', _ALL),
        ),
        base.rule(
            _NOUN,
            'availability_counts',
            base.ADMIN,
            'See how many devices of a PCI flavor are free, and on which '
            'hosts.',
            availability,
        ),
        base.rule(
            _NOUN,
            'explain',
            base.PROJECT_READER,
            'Ask why devices of a PCI flavor cannot be had, without hosts '
            'and numbers.',
            explain,
        ),
        base.rule(
            _NOUN,
            'explain_hosts',
            base.ADMIN,
            'Ask why hosts cannot give devices of a PCI flavor, also for '
            'NICs on some physical network.',
            explain,
        ),
    ]
