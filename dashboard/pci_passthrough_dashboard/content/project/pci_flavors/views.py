# SPDX-License-Identifier: Apache-2.0
"""The list of PCI flavors, and how to ask for one."""

from typing import Any
from typing import Final

from django.urls import reverse
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _
from horizon import exceptions
from horizon import forms
from horizon import messages
from horizon import tables
from horizon import views

from pci_passthrough_dashboard import api
from pci_passthrough_dashboard.content import words
from pci_passthrough_dashboard.content.project.pci_flavors import asking
from pci_passthrough_dashboard.content.project.pci_flavors import (
    forms as port_forms,
)
from pci_passthrough_dashboard.content.project.pci_flavors import (
    tables as flavor_tables,
)

_INDEX: Final = 'horizon:project:pci_flavors:index'


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


class PortView(forms.ModalFormView):
    """The form for a port whose NIC is a device of a PCI flavor."""

    form_class = port_forms.PortForm
    template_name = 'pci_passthrough_dashboard/form.html'
    success_url = reverse_lazy(_INDEX)
    page_title = _('Create Port with {{ pci_flavor.name }}')
    submit_label = _('Create')

    @property
    def submit_url(self) -> str:
        """The form is sent to the page that it is on."""
        return str(self.request.path)

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
    """Return a PCI flavor as it is now.

    :raises Http302: the project has none; the list shows the message.
    """
    try:
        return api.service(request).get_pci_flavor(pci_flavor_id)
    except api.ServiceError as error:
        messages.error(request, str(error))
        raise exceptions.Http302(reverse(_INDEX)) from error
