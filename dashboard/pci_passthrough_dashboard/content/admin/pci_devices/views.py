# SPDX-License-Identifier: Apache-2.0
"""The devices of all hosts: list, one with its history, actions."""

from typing import Any
from typing import Final

from django import http
from django.urls import reverse
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _
from horizon import exceptions
from horizon import messages
from horizon import views

from pci_passthrough_dashboard import api
from pci_passthrough_dashboard.content import form_page
from pci_passthrough_dashboard.content import paging
from pci_passthrough_dashboard.content import words
from pci_passthrough_dashboard.content.admin.pci_devices import (
    forms as device_forms,
)
from pci_passthrough_dashboard.content.admin.pci_devices import (
    tables as device_tables,
)

_INDEX: Final = 'horizon:admin:pci_devices:index'

#: The newest events that the page of a device shows.
_EVENTS: Final = 100


class IndexView(paging.FilteredView):
    """The devices of all hosts."""

    table_class = device_tables.PciDevicesTable
    filter_class = device_forms.FilterForm
    method = 'pci_devices'
    page_title = _('PCI Devices')


class ActionView(form_page.FormPage):
    """The form that asks for the reason of an action."""

    form_class = device_forms.ActionForm
    success_url = reverse_lazy(_INDEX)
    page_title = '{{ title }}'

    def get_form_kwargs(self) -> dict[str, Any]:
        """Add the device and the action.

        :raises Http404: there is no such action.
        """
        action = device_tables.ACTIONS.get(self.kwargs['action'])
        if action is None:
            raise http.Http404
        self._word = action.verbose_name
        self._device = _read(self.request, self.kwargs['device_id'])
        keywords: dict[str, Any] = super().get_form_kwargs()
        return keywords | {
            'device': self._device,
            'action': self.kwargs['action'],
        }

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the title and the button."""
        context: dict[str, Any] = super().get_context_data(**kwargs)
        device = self._device
        return context | {
            'submit_label': self._word,
            'title': f'{self._word}: {device.address} on {device.host}',
        }


class DetailView(views.HorizonTemplateView):
    """All that is known of a device, and its history."""

    template_name = 'admin/pci_devices/detail.html'
    page_title = _('PCI Device: {{ device.address }} on {{ device.host }}')

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the device and its events, newest first."""
        context: dict[str, Any] = super().get_context_data(**kwargs)
        device = _read(self.request, self.kwargs['device_id'])
        context |= {
            'device': device,
            'state': words.device_state(device),
            'fields': sorted(
                (name, words.value(value))
                for name, value in device.fields().items()
                if value not in (None, [], {}, '')
            ),
        }
        try:
            events = api.service(self.request).pci_device_history(
                device.id, limit=_EVENTS
            )
        except api.ServiceError as error:
            messages.error(self.request, str(error))
            events = []
        return context | {'events': events[::-1]}


def _read(request: Any, device_id: Any) -> Any:
    """Return a device as it is now.

    :raises Http302: there is none; the list shows the message.
    """
    try:
        return api.service(request).get_pci_device(str(device_id))
    except api.ServiceError as error:
        messages.error(request, str(error))
        raise exceptions.Http302(reverse(_INDEX)) from error
