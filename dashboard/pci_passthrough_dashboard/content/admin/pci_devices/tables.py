# SPDX-License-Identifier: Apache-2.0
"""The table of devices, and what an operator can do with one."""

from typing import Any

from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from horizon import tables

from pci_passthrough_dashboard.content import paging
from pci_passthrough_dashboard.content import policies
from pci_passthrough_dashboard.content import words


class _Action(tables.LinkAction):
    """Opens the form that asks for the reason of an action.

    :cvar states: the states in which the action is offered. The service has
        the last word.
    """

    url = 'horizon:admin:pci_devices:act'
    policy_rules = policies.rules('pci_devices:update')
    states: tuple[str, ...] = ()

    def get_link_url(self, datum: Any = None) -> str:
        """Return the address of the form."""
        return str(reverse(self.url, args=[datum.id, self.name]))

    def allowed(self, request: Any, datum: Any = None) -> bool:
        """Return whether the state of the device allows the action."""
        return datum is None or datum.state in self.states


class Disable(_Action):
    """Gives a device to no further instance."""

    name = 'disable'
    verbose_name = _('Disable')
    states = ('available', 'claimed', 'allocated', 'cleaning', 'quarantined')


class Enable(_Action):
    """Ends ``disable``."""

    name = 'enable'
    verbose_name = _('Enable')
    states = ('disabled',)


class Clean(_Action):
    """Has the handlers of a device clean it."""

    name = 'clean'
    verbose_name = _('Clean')
    states = ('available', 'quarantined')

    def allowed(self, request: Any, datum: Any = None) -> bool:
        """Return whether the device has handlers, and a fitting state."""
        has_handlers = datum is None or bool(datum.handlers)
        return has_handlers and super().allowed(request, datum)


class Quarantine(_Action):
    """Locks a free device."""

    name = 'quarantine'
    verbose_name = _('Quarantine')
    states = ('available', 'cleaning')


class Release(_Action):
    """Ends the quarantine of a device."""

    name = 'release'
    verbose_name = _('Release')
    states = ('quarantined',)


#: By their names.
ACTIONS = {
    action.name: action
    for action in (Disable, Enable, Clean, Quarantine, Release)
}


class PciDevicesTable(paging.FilteredTable):
    """Devices by host and address."""

    host = tables.Column('host', verbose_name=_('Host'))
    address = tables.Column(
        'address',
        verbose_name=_('Address'),
        link='horizon:admin:pci_devices:detail',
    )
    kind = tables.Column(words.device, verbose_name=_('Device'))
    state = tables.Column(words.device_state, verbose_name=_('State'))
    reason = tables.Column(words.device_reason, verbose_name=_('Reason'))
    pci_flavor = tables.Column('pci_flavor', verbose_name=_('PCI Flavor'))
    instance = tables.Column('instance_uuid', verbose_name=_('Instance'))

    def get_object_display(self, datum: Any) -> str:
        """Return the name of a device for screen readers."""
        return f'{datum.host}/{datum.address}'

    class Meta:
        """What Horizon asks of a table."""

        name = 'pci_devices'
        verbose_name = _('PCI Devices')
        row_actions = tuple(ACTIONS.values())
        multi_select = False
