# SPDX-License-Identifier: Apache-2.0
"""Policies for PCI flavors."""

from oslo_policy import policy

from pci_passthrough.api.policies import base

_NOUN = 'pci_flavors'
_LIST = '/v1/pci-flavors'
_ITEM = '/v1/pci-flavors/{pci_flavor}'

LIST = f'{base.PREFIX}:{_NOUN}:list'
SHOW = f'{base.PREFIX}:{_NOUN}:show'
ALL_PROJECTS = f'{base.PREFIX}:{_NOUN}:all_projects'
CREATE = f'{base.PREFIX}:{_NOUN}:create'
CREATE_FOR_PROJECT = f'{base.PREFIX}:{_NOUN}:create_for_project'
PUBLICIZE = f'{base.PREFIX}:{_NOUN}:publicize'
UPDATE = f'{base.PREFIX}:{_NOUN}:update'
DELETE = f'{base.PREFIX}:{_NOUN}:delete'
AGGREGATE_METADATA = f'{base.PREFIX}:{_NOUN}:aggregate_metadata'
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
    return [
        *_read_rules(),
        *_change_rules(),
        *_access_rules(),
        *_availability_rules(),
    ]


def _read_rules() -> list[policy.DocumentedRuleDefault]:
    return [
        base.rule(
            _NOUN,
            'list',
            base.PROJECT_READER,
            'List the PCI flavors that the project may use.',
            ('GET', _LIST),
        ),
        base.rule(
            _NOUN,
            'show',
            base.PROJECT_READER,
            'Show a PCI flavor that the project may use. For any other the '
            'answer is 404, as if it did not exist.',
            ('GET', _ITEM),
        ),
        base.rule(
            _NOUN,
            'all_projects',
            base.ADMIN,
            'See the private PCI flavors of all projects; see the owner of '
            'each PCI flavor, and the projects that it is shared with.',
            ('GET', _LIST),
            ('GET', _ITEM),
        ),
    ]


def _change_rules() -> list[policy.DocumentedRuleDefault]:
    return [
        base.rule(
            _NOUN,
            'create',
            base.ADMIN,
            "Create a PCI flavor that belongs to the user's own project. Its "
            'match expression can select any device that hosts expose.',
            ('POST', _LIST),
        ),
        base.rule(
            _NOUN,
            'create_for_project',
            base.ADMIN,
            'Create a PCI flavor that belongs to another project, or to none.',
            ('POST', _LIST),
        ),
        base.rule(
            _NOUN,
            'publicize',
            base.ADMIN,
            'Make a PCI flavor public, at its creation or later.',
            ('POST', _LIST),
            ('PATCH', _ITEM),
        ),
        base.rule(
            _NOUN,
            'update',
            base.ADMIN,
            'Change a PCI flavor.',
            ('PATCH', _ITEM),
        ),
        base.rule(
            _NOUN,
            'delete',
            base.ADMIN,
            'Delete a PCI flavor through which no instance holds devices.',
            ('DELETE', _ITEM),
        ),
        base.rule(
            _NOUN,
            'aggregate_metadata',
            base.ADMIN,
            'Restrict a PCI flavor to the hosts of host aggregates, or end '
            'that.',
            ('POST', _LIST),
            ('PATCH', _ITEM),
        ),
        base.rule(
            _NOUN,
            'force',
            base.ADMIN,
            'Change or delete a PCI flavor although instances hold devices '
            'through it that it would no longer match.',
            ('PATCH', _ITEM),
            ('DELETE', _ITEM),
        ),
    ]


def _access_rules() -> list[policy.DocumentedRuleDefault]:
    project = f'{_ITEM}/access/{{project_id}}'
    return [
        base.rule(
            _NOUN,
            'access:list',
            base.ADMIN,
            'List the projects that a PCI flavor is shared with.',
            ('GET', f'{_ITEM}/access'),
        ),
        base.rule(
            _NOUN,
            'access:add',
            base.ADMIN,
            'Share a PCI flavor with a project.',
            ('PUT', project),
            ('POST', _LIST),
            ('PATCH', _ITEM),
        ),
        base.rule(
            _NOUN,
            'access:remove',
            base.ADMIN,
            'Stop sharing a PCI flavor with a project.',
            ('DELETE', project),
            ('PATCH', _ITEM),
        ),
    ]


def _availability_rules() -> list[policy.DocumentedRuleDefault]:
    availability = ('GET', f'{_ITEM}/availability')
    explain = ('GET', f'{_ITEM}/explain')
    return [
        base.rule(
            _NOUN,
            'availability',
            base.PROJECT_READER,
            'See the availability of a PCI flavor: none, low or ok.',
            availability,
            ('GET', _LIST),
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
            'See why requests for a PCI flavor get no devices, without hosts '
            'and numbers.',
            explain,
        ),
        base.rule(
            _NOUN,
            'explain_hosts',
            base.ADMIN,
            'See which hosts have no devices for a PCI flavor, and why; also '
            'for NICs on a physical network.',
            explain,
        ),
    ]
