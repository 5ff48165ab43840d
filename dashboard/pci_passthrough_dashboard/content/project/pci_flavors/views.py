# SPDX-License-Identifier: Apache-2.0
"""The list of PCI flavors, and how to ask for one."""

from typing import Any

from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from horizon import exceptions
from horizon import messages
from horizon import tables
from horizon import views

from pci_passthrough_dashboard import api
from pci_passthrough_dashboard.content import words
from pci_passthrough_dashboard.content.project.pci_flavors import asking
from pci_passthrough_dashboard.content.project.pci_flavors import (
    tables as flavor_tables,
)


class IndexView(tables.DataTableView):
    """The PCI flavors that the user's project may ask for."""

    table_class = flavor_tables.PciFlavorsTable
    page_title = _('PCI Flavors')
    template_name = 'horizon/common/_data_table_view.html'

    def get_data(self) -> list[Any]:
        """Return PCI flavors; an error of the service becomes a message."""
        try:
            return list(
                api.service(self.request).pci_flavors(availability=True)
            )
        except api.ServiceError as error:
            messages.error(self.request, str(error))
            return []


class DetailView(views.HorizonTemplateView):
    """What a PCI flavor is, and how to ask for it."""

    template_name = 'project/pci_flavors/detail.html'
    page_title = _('PCI Flavor: {{ pci_flavor.name }}')

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the PCI flavor and its availability."""
        context: dict[str, Any] = super().get_context_data(**kwargs)
        flavor_id = self.kwargs['pci_flavor_id']
        service = api.service(self.request)
        try:
            flavor = service.get_pci_flavor(flavor_id)
            supply = service.get_pci_flavor_availability(flavor)
        except api.ServiceError as error:
            messages.error(self.request, str(error))
            raise exceptions.Http302(
                reverse('horizon:project:pci_flavors:index')
            ) from error
        return context | {
            'pci_flavor': flavor,
            'availability': words.availability(supply),
            'state': words.flavor_state(flavor),
            'ways': asking.ways(flavor.name, flavor.vnic_type),
        }
