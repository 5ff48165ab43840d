# SPDX-License-Identifier: Apache-2.0
"""What the pages about PCI flavors of projects and operators share."""

from typing import Any

from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from horizon import exceptions
from horizon import messages
from horizon import tables

from pci_passthrough_dashboard import api


class FlavorsPage(tables.DataTableView):
    """The list of the PCI flavors that the user sees."""

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


def read(request: Any, pci_flavor_id: str, index: str) -> Any:
    """Return a PCI flavor as it is now.

    :param index: the name of the list's address.
    :raises Http302: the user sees none; the list shows the message.
    """
    try:
        return api.service(request).get_pci_flavor(pci_flavor_id)
    except api.ServiceError as error:
        messages.error(request, str(error))
        raise exceptions.Http302(reverse(index)) from error
