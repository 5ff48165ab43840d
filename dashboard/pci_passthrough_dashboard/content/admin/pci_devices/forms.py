# SPDX-License-Identifier: Apache-2.0
"""The filter of devices, and the form for an action on one."""

from typing import Any
from typing import Final

from django import forms as django_forms
from django.utils.translation import gettext_lazy as _
from horizon import forms
from horizon import messages

from pci_passthrough_dashboard import api
from pci_passthrough_dashboard.content import paging
from pci_passthrough_dashboard.content import words

#: The actions that the service does not do without a reason.
_WITH_REASON: Final = ('disable', 'quarantine')


class FilterForm(paging.FilterForm):
    """The filter; its fields are parameters of the API."""

    host = django_forms.CharField(required=False, label=_('Host'))
    state = django_forms.ChoiceField(
        required=False,
        label=_('State'),
        choices=[('', _('any')), *words.DEVICE_STATE.items()],
    )
    pci_flavor = django_forms.CharField(
        required=False, label=_('Matches PCI flavor')
    )
    held_by = django_forms.CharField(
        required=False, label=_('Held through PCI flavor')
    )
    instance_uuid = django_forms.CharField(
        required=False, label=_('Held by instance')
    )


class ActionForm(forms.SelfHandlingForm):
    """The reason for an action on a device."""

    reason = forms.CharField(
        max_length=255,
        required=False,
        label=_('Reason'),
        help_text=_('For the next operator; the history keeps it.'),
    )

    def __init__(
        self, request: Any, *args: Any, device: Any, action: str, **kwargs: Any
    ) -> None:
        super().__init__(request, *args, **kwargs)
        self._device = device
        self._action = action
        self.fields['reason'].required = action in _WITH_REASON

    def handle(self, request: Any, data: dict[str, Any]) -> bool:
        """Do the action; return whether it is done."""
        try:
            after = api.service(request).update_pci_device(
                self._device.id, self._action, data['reason'] or None
            )
        except api.ServiceError as error:
            self.api_error(str(error))
            return False
        messages.success(
            request,
            _('The device %(address)s on %(host)s is %(state)s now.')
            % {
                'address': after.address,
                'host': after.host,
                'state': words.device_state(after),
            },
        )
        return True
