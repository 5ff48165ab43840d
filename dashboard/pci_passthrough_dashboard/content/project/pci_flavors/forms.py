# SPDX-License-Identifier: Apache-2.0
"""The form for a port whose NIC is a device of a PCI flavor."""

from typing import Any

from django.utils.translation import gettext_lazy as _
from horizon import forms
from horizon import messages

from pci_passthrough_dashboard import api
from pci_passthrough_dashboard import ports


class PortForm(forms.SelfHandlingForm):
    """The network and the name of a port."""

    network = forms.ChoiceField(label=_('Network'))
    name = forms.CharField(
        max_length=255, required=False, label=_('Name of the Port')
    )

    def __init__(
        self, request: Any, *args: Any, flavor: Any, **kwargs: Any
    ) -> None:
        super().__init__(request, *args, **kwargs)
        self._flavor = flavor
        try:
            self.fields['network'].choices = ports.networks(request)
        except api.ServiceError as error:
            messages.error(request, str(error))

    def handle(self, request: Any, data: dict[str, Any]) -> bool:
        """Create the port; return whether it is done."""
        try:
            port = ports.create(
                request, data['network'], data['name'], self._flavor
            )
        except api.ServiceError as error:
            self.api_error(str(error))
            return False
        messages.success(
            request,
            _('Created the port %s. Create a server with it.')
            % (port.name or port.id),
        )
        return True
