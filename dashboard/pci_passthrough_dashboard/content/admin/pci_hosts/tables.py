# SPDX-License-Identifier: Apache-2.0
"""The table of hosts."""

from typing import Any

from django.utils.translation import gettext_lazy as _
from horizon import tables

from pci_passthrough_dashboard.content import paging
from pci_passthrough_dashboard.content import policies


class Forget(tables.LinkAction):
    """Opens the form that asks whether to forget a host that is down."""

    name = 'forget'
    verbose_name = _('Forget')
    url = 'horizon:admin:pci_hosts:forget'
    policy_rules = policies.rules('hosts:delete')

    def allowed(self, request: Any, datum: Any = None) -> bool:
        """Return whether the host is down."""
        return datum is None or datum.state == 'down'


class PciHostsTable(paging.FilteredTable):
    """Hosts with their agent and their nova-compute."""

    host = tables.Column('id', verbose_name=_('Host'))
    state = tables.Column('state', verbose_name=_('Agent'))
    tracker = tables.Column('tracker_state', verbose_name=_('nova-compute'))
    devices = tables.Column(
        'devices',
        verbose_name=_('Devices'),
        link=lambda host: f'../pci_devices/?host={host.id}',
    )
    last_report_at = tables.Column(
        'last_report_at', verbose_name=_('Last Report (UTC)')
    )
    agent_version = tables.Column('agent_version', verbose_name=_('Release'))

    class Meta:
        """What Horizon asks of a table."""

        name = 'pci_hosts'
        verbose_name = _('PCI Hosts')
        row_actions = (Forget,)
        multi_select = False
