# SPDX-License-Identifier: Apache-2.0
"""The filter of hosts, and the form that forgets one."""

from typing import Any

from django import forms as django_forms
from django.utils.translation import gettext_lazy as _
from horizon import forms
from horizon import messages

from pci_passthrough_dashboard import api
from pci_passthrough_dashboard.content import paging


class FilterForm(paging.FilterForm):
    """The filter; its fields are parameters of the API."""

    host = django_forms.CharField(required=False, label=_('Host'))
    state = django_forms.ChoiceField(
        required=False,
        label=_('Agent'),
        choices=[('', _('any')), ('up', _('up')), ('down', _('down'))],
    )


class ForgetForm(forms.SelfHandlingForm):
    """The form that forgets a host that is down."""

    force = forms.BooleanField(
        required=False,
        label=_('Even if instances hold devices of it'),
        help_text=_('Also if devices are disabled or not cleaned.'),
    )
    reason = forms.CharField(
        max_length=255,
        required=False,
        label=_('Reason'),
        help_text=_('Needed with force; the history keeps it.'),
    )
    host = forms.CharField(widget=forms.HiddenInput())

    def handle(self, request: Any, data: dict[str, Any]) -> bool:
        """Forget the host; return whether it is done."""
        try:
            api.service(request).delete_pci_host(
                data['host'],
                force=data['force'],
                reason=data['reason'] or None,
            )
        except api.ServiceError as error:
            self.api_error(str(error))
            return False
        messages.success(request, _('Forgot the host %s.') % data['host'])
        return True
