# SPDX-License-Identifier: Apache-2.0
"""Forms that are pages of their own."""

from horizon import forms


class FormPage(forms.ModalFormView):
    """A form that is sent to the page that it is on."""

    template_name = 'pci_passthrough_dashboard/form.html'

    @property
    def submit_url(self) -> str:
        """The address of the page."""
        return str(self.request.path)
