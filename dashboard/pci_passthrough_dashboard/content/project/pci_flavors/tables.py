# SPDX-License-Identifier: Apache-2.0
"""The table of the PCI flavors that a project may ask for."""

from django.utils.translation import gettext_lazy as _
from horizon import tables

from pci_passthrough_dashboard.content import words


class HowToAsk(tables.LinkAction):
    """Opens the page that says how to ask for a PCI flavor."""

    name = 'ask'
    verbose_name = _('How to Ask')
    url = 'horizon:project:pci_flavors:detail'


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
        row_actions = (HowToAsk,)
        multi_select = False
