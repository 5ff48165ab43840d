# SPDX-License-Identifier: Apache-2.0
"""The hosts whose agents have reported: list, and forgetting one."""

from typing import Any

from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _

from pci_passthrough_dashboard.content import form_page
from pci_passthrough_dashboard.content import paging
from pci_passthrough_dashboard.content.admin.pci_hosts import (
    forms as host_forms,
)
from pci_passthrough_dashboard.content.admin.pci_hosts import (
    tables as host_tables,
)


class IndexView(paging.FilteredView):
    """Hosts with their agent and their nova-compute."""

    table_class = host_tables.PciHostsTable
    filter_class = host_forms.FilterForm
    method = 'pci_hosts'
    page_title = _('PCI Hosts')


class ForgetView(form_page.FormPage):
    """The form that asks whether to forget a host."""

    form_class = host_forms.ForgetForm
    success_url = reverse_lazy('horizon:admin:pci_hosts:index')
    page_title = _('Forget the Host {{ form.initial.host }}')
    submit_label = _('Forget')

    def get_initial(self) -> dict[str, Any]:
        """Return which host it is about."""
        return {'host': self.kwargs['host']}
