# SPDX-License-Identifier: Apache-2.0
"""The table of all PCI flavors."""

from typing import Any

from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from horizon import tables

from pci_passthrough_dashboard.content import policies
from pci_passthrough_dashboard.content import words


class Create(tables.LinkAction):
    """Opens the form for a new PCI flavor."""

    name = 'create'
    verbose_name = _('Create PCI Flavor')
    url = 'horizon:admin:pci_flavors:create'
    icon = 'plus'
    policy_rules = policies.rules('pci_flavors:create')


class Edit(tables.LinkAction):
    """Opens the form for a change."""

    name = 'edit'
    verbose_name = _('Edit')
    url = 'horizon:admin:pci_flavors:update'
    policy_rules = policies.rules('pci_flavors:update')


class Share(tables.LinkAction):
    """Opens the form for the projects of a private PCI flavor."""

    name = 'share'
    verbose_name = _('Share')
    url = 'horizon:admin:pci_flavors:share'
    policy_rules = policies.rules(
        'pci_flavors:access:add', 'pci_flavors:access:remove'
    )

    def allowed(self, request: Any, datum: Any = None) -> bool:
        """Return whether sharing makes a difference."""
        return datum is None or not datum.is_public


class Delete(tables.LinkAction):
    """Opens the page that says what the deletion would do."""

    name = 'delete'
    verbose_name = _('Delete')
    url = 'horizon:admin:pci_flavors:delete'
    policy_rules = policies.rules('pci_flavors:delete')


def _visibility(flavor: Any) -> Any:
    if flavor.is_public:
        return _('All projects')
    count = len(flavor.access or ())
    return ngettext('%(n)s project', '%(n)s projects', count) % {'n': count}


def _match(flavor: Any) -> str:
    return words.match(flavor.match)


class PciFlavorsTable(tables.DataTable):
    """PCI flavors with what they match."""

    name = tables.Column(
        'name',
        verbose_name=_('Name'),
        link='horizon:admin:pci_flavors:detail',
    )
    description = tables.Column('description', verbose_name=_('Description'))
    match = tables.Column(_match, verbose_name=_('Match'))
    visibility = tables.Column(_visibility, verbose_name=_('Shared With'))
    availability = tables.Column(
        words.availability, verbose_name=_('Devices Left')
    )
    state = tables.Column(words.flavor_state, verbose_name=_('State'))

    class Meta:
        """What Horizon asks of a table."""

        name = 'pci_flavors'
        verbose_name = _('PCI Flavors')
        table_actions = (tables.NameFilterAction, Create)
        row_actions = (Edit, Share, Delete)
        multi_select = False
