# SPDX-License-Identifier: Apache-2.0
"""Policies for devices."""

from oslo_policy import policy

from pci_passthrough.api.policies import base

_NOUN = 'pci_devices'
_LIST = '/v1/pci-devices'
_ITEM = '/v1/pci-devices/{pci_device}'

LIST = f'{base.PREFIX}:{_NOUN}:list'
SHOW = f'{base.PREFIX}:{_NOUN}:show'
HISTORY = f'{base.PREFIX}:{_NOUN}:history'
UPDATE = f'{base.PREFIX}:{_NOUN}:update'


def list_rules() -> list[policy.DocumentedRuleDefault]:
    """Return the rules."""
    return [
        base.rule(
            _NOUN,
            'list',
            base.ADMIN,
            'List devices, with their hosts and owners. Also needed to see '
            'which instances prevent a change of a PCI flavor.',
            ('GET', _LIST),
        ),
        base.rule(
            _NOUN,
            'show',
            base.ADMIN,
            'Show a device.',
            ('GET', _ITEM),
        ),
        base.rule(
            _NOUN,
            'history',
            base.ADMIN,
            'Show the history of a device.',
            ('GET', f'{_ITEM}/history'),
        ),
        base.rule(
            _NOUN,
            'update',
            base.ADMIN,
            'Take a device out of service, or put it back.',
            ('PATCH', _ITEM),
        ),
    ]
