# SPDX-License-Identifier: Apache-2.0
"""The PCI flavors of all projects: list, forms, and what one matches."""

from typing import Any
from typing import Final

from django.shortcuts import render
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _
from horizon import messages
from horizon import views

from pci_passthrough_dashboard import api
from pci_passthrough_dashboard.content import flavor_pages
from pci_passthrough_dashboard.content import form_page
from pci_passthrough_dashboard.content import words
from pci_passthrough_dashboard.content.admin.pci_flavors import (
    forms as flavor_forms,
)
from pci_passthrough_dashboard.content.admin.pci_flavors import (
    tables as flavor_tables,
)

_INDEX: Final = 'horizon:admin:pci_flavors:index'

#: Hosts and near misses of a PCI flavor that its page shows.
_SHOWN: Final = 50


class IndexView(flavor_pages.FlavorsPage):
    """The PCI flavors of all projects."""

    table_class = flavor_tables.PciFlavorsTable


class _FormView(form_page.FormPage):
    """A form about a PCI flavor."""

    success_url = reverse_lazy(_INDEX)

    def flavor(self) -> Any:
        """Return the PCI flavor as it is now.

        :raises Http302: there is none; the list shows the message.
        """
        return _read(self.request, self.kwargs['pci_flavor_id'])


class _PreviewedFormView(_FormView):
    """A form with a preview of its effect.

    The button sends the whole form. A script sends it, too, whenever the user
    has changed something, and asks for the effect alone.
    """

    template_name = 'admin/pci_flavors/edit.html'

    def form_valid(self, form: Any) -> Any:
        """Show the effect, or do what the form is for."""
        if 'preview' not in self.request.GET:
            return super().form_valid(form)
        context: dict[str, Any] = {}
        try:
            context['effect'] = form.preview(self.request)
        except api.ServiceError as error:
            context['effect_error'] = str(error)
        return self._answer(form, context)

    def form_invalid(self, form: Any) -> Any:
        """Show the errors."""
        return self._answer(form, {})

    def _answer(self, form: Any, context: dict[str, Any]) -> Any:
        if 'fragment' in self.request.GET:
            template = 'admin/pci_flavors/_effect.html'
            return render(self.request, template, context | {'form': form})
        whole = self.get_context_data(form=form, **context)
        return self.render_to_response(whole)


class CreateView(_PreviewedFormView):
    """The form for a new PCI flavor."""

    form_class = flavor_forms.CreateForm
    page_title = _('Create PCI Flavor')
    submit_label = _('Create')


class UpdateView(_PreviewedFormView):
    """The form for a change of a PCI flavor."""

    form_class = flavor_forms.UpdateForm
    page_title = _('Edit PCI Flavor')
    submit_label = _('Save')

    def get_initial(self) -> dict[str, Any]:
        """Return the PCI flavor as it is now."""
        flavor = self.flavor()
        names = flavor_forms.FlavorForm.base_fields
        return {
            **{name: getattr(flavor, name) for name in names},
            'match': words.match(flavor.match),
            'pci_flavor_id': flavor.id,
            'generation': flavor.generation,
        }


class ShareView(_FormView):
    """The form for the projects that a PCI flavor is shared with."""

    form_class = flavor_forms.ShareForm
    page_title = _('Share PCI Flavor')
    submit_label = _('Save')

    def get_initial(self) -> dict[str, Any]:
        """Return the projects that it is shared with now."""
        flavor = self.flavor()
        return {
            'projects': '\n'.join(flavor.access or ()),
            'pci_flavor_id': flavor.id,
            'generation': flavor.generation,
        }


class DeleteView(_FormView):
    """The page that says what a deletion would do, and asks."""

    form_class = flavor_forms.DeleteForm
    template_name = 'admin/pci_flavors/delete.html'
    page_title = _('Delete PCI Flavor {{ pci_flavor.name }}')
    submit_label = _('Delete')

    def get_initial(self) -> dict[str, Any]:
        """Return which PCI flavor it is about."""
        return {'pci_flavor_id': self.kwargs['pci_flavor_id']}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the effect of the deletion."""
        context: dict[str, Any] = super().get_context_data(**kwargs)
        flavor = self.flavor()
        context['pci_flavor'] = flavor
        try:
            service = api.service(self.request)
            context['effect'] = service.preview_delete_pci_flavor(flavor)
        except api.ServiceError as error:
            context['effect_error'] = str(error)
        return context


class DetailView(views.HorizonTemplateView):
    """A PCI flavor, where its devices are, and which ones it just misses."""

    template_name = 'admin/pci_flavors/detail.html'
    page_title = _('PCI Flavor: {{ pci_flavor.name }}')

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the PCI flavor, its hosts and its near misses."""
        context: dict[str, Any] = super().get_context_data(**kwargs)
        flavor = _read(self.request, self.kwargs['pci_flavor_id'])
        context |= {
            'pci_flavor': flavor,
            'match': words.match(flavor.match),
            'state': words.flavor_state(flavor),
        }
        service = api.service(self.request)
        try:
            supply = service.get_pci_flavor_availability(flavor)
            explanation = service.explain_pci_flavor(flavor)
        except api.ServiceError as error:
            messages.error(self.request, str(error))
            return context
        hosts = supply.hosts or ()
        misses = [
            {'host': host['host'], **miss}
            for host in explanation.hosts or ()
            for miss in host['near_misses']
        ]
        return context | {
            'supply': supply,
            'availability': words.availability(supply),
            'hosts': hosts[:_SHOWN],
            'more_hosts': len(hosts[_SHOWN:]),
            'misses': misses[:_SHOWN],
            'more_misses': len(misses[_SHOWN:]),
            'summary': explanation.summary,
        }


def _read(request: Any, pci_flavor_id: str) -> Any:
    return flavor_pages.read(request, pci_flavor_id, _INDEX)
