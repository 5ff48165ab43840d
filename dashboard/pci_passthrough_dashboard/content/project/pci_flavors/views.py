# SPDX-License-Identifier: Apache-2.0
"""The list of PCI flavors, and how to ask for one."""

from typing import Any
from typing import Final

from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _
from horizon import messages
from horizon import views

from pci_passthrough_dashboard import api
from pci_passthrough_dashboard.content import flavor_pages
from pci_passthrough_dashboard.content import form_page
from pci_passthrough_dashboard.content import words
from pci_passthrough_dashboard.content.project.pci_flavors import asking
from pci_passthrough_dashboard.content.project.pci_flavors import (
    forms as port_forms,
)
from pci_passthrough_dashboard.content.project.pci_flavors import (
    tables as flavor_tables,
)

_INDEX: Final = 'horizon:project:pci_flavors:index'


class IndexView(flavor_pages.FlavorsPage):
    """The PCI flavors that the user's project may ask for."""

    table_class = flavor_tables.PciFlavorsTable


class DetailView(views.HorizonTemplateView):
    """What a PCI flavor is, and how to ask for it."""

    template_name = 'project/pci_flavors/detail.html'
    page_title = _('PCI Flavor: {{ pci_flavor.name }}')

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the PCI flavor and its availability."""
        context: dict[str, Any] = super().get_context_data(**kwargs)
        flavor = _read(self.request, self.kwargs['pci_flavor_id'])
        try:
            supply = api.service(self.request).get_pci_flavor_availability(
                flavor
            )
        except api.ServiceError as error:
            messages.error(self.request, str(error))
            supply = None
        return context | {
            'pci_flavor': flavor,
            'availability': words.availability(supply) if supply else None,
            'state': words.flavor_state(flavor),
            'ways': asking.ways(flavor.name, flavor.vnic_type),
        }


class PortView(form_page.FormPage):
    """The form for a port whose NIC is a device of a PCI flavor."""

    form_class = port_forms.PortForm
    success_url = reverse_lazy(_INDEX)
    page_title = _('Create Port with {{ pci_flavor.name }}')
    submit_label = _('Create')

    def get_form_kwargs(self) -> dict[str, Any]:
        """Add the PCI flavor."""
        self._flavor = _read(self.request, self.kwargs['pci_flavor_id'])
        keywords: dict[str, Any] = super().get_form_kwargs()
        return keywords | {'flavor': self._flavor}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the PCI flavor for the title."""
        context: dict[str, Any] = super().get_context_data(**kwargs)
        return context | {'pci_flavor': self._flavor}


def _read(request: Any, pci_flavor_id: str) -> Any:
    return flavor_pages.read(request, pci_flavor_id, _INDEX)
