# SPDX-License-Identifier: Apache-2.0
"""The table of the PCI flavors that a project may ask for."""

from typing import Any

from django.utils.translation import gettext_lazy as _
from horizon import tables
from openstack_dashboard.api import base

from pci_passthrough_dashboard.content import words


class HowToAsk(tables.LinkAction):
    """Opens the page that says how to ask for a PCI flavor."""

    name = 'ask'
    verbose_name = _('How to Ask')
    url = 'horizon:project:pci_flavors:detail'


class CreatePort(tables.LinkAction):
    """Opens the form for a port."""

    name = 'port'
    verbose_name = _('Create Port')
    url = 'horizon:project:pci_flavors:port'
    policy_rules = (('network', 'create_port'),)

    def get_policy_target(
        self, request: Any, datum: Any = None
    ) -> dict[str, Any]:
        """Return what the policy is asked about: a network of the project."""
        project = request.user.project_id
        return {'network:project_id': project, 'network:tenant_id': project}

    def allowed(self, request: Any, datum: Any = None) -> bool:
        """Return whether the PCI flavor is for NICs, and there is Neutron."""
        is_for_nics = datum is None or (
            datum.vnic_type and datum.state != 'disabled'
        )
        return bool(
            is_for_nics and base.is_service_enabled(request, 'network')
        )


class PciFlavorsTable(tables.DataTable):
    """PCI flavors with the availability in words."""

    name = tables.Column(
        'name',
        verbose_name=_('Name'),
        link='horizon:project:pci_flavors:detail',
    )
    description = tables.Column('description', verbose_name=_('Description'))
    availability = tables.Column(
        words.availability, verbose_name=_('Devices Left')
    )
    state = tables.Column(words.flavor_state, verbose_name=_('State'))

    class Meta:
        """What Horizon asks of a table."""

        name = 'pci_flavors'
        verbose_name = _('PCI Flavors')
        table_actions = (tables.NameFilterAction,)
        row_actions = (HowToAsk, CreatePort)
        multi_select = False
