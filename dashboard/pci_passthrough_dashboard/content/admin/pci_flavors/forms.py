# SPDX-License-Identifier: Apache-2.0
"""The forms that create, change, share and delete a PCI flavor."""

import argparse
from typing import Any
from typing import Final

from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _
from horizon import forms
from horizon import messages
from openstack_dashboard.api import keystone

from pci_passthrough.osc import match as match_text
from pci_passthrough_dashboard import api

_VNIC_TYPES: Final = ('direct', 'macvtap', 'direct-physical', 'vdpa')
_NUMA_POLICIES: Final = ('legacy', 'preferred', 'required', 'socket')


def _choices(values: tuple[str, ...], none: Any) -> list[tuple[str, Any]]:
    return [('', none), *((value, value) for value in values)]


class FlavorForm(forms.SelfHandlingForm):
    """The fields of a PCI flavor."""

    name = forms.CharField(
        max_length=255,
        label=_('Name'),
        help_text=_('Users ask for it. Without comma, | : and /'),
    )
    description = forms.CharField(
        max_length=16000,
        required=False,
        label=_('Description'),
        help_text=_('A text for users.'),
        widget=forms.Textarea(attrs={'rows': 2}),
    )
    match = forms.CharField(
        label=_('Match'),
        widget=forms.Textarea(attrs={'rows': 4, 'spellcheck': 'false'}),
        help_text=_(
            'What a device must be: one alternative on each line, as '
            'KEY=VALUE,KEY=VALUE or as a JSON object. Keys: vendor_id, '
            'product_id, class, dev_type, driver, numa_node, resource_type, '
            'and e.TAG for extra info.'
        ),
    )
    vnic_type = forms.ChoiceField(
        required=False,
        label=_('Type of NIC'),
        choices=_choices(_VNIC_TYPES, _('not for NICs, or direct')),
    )
    numa_policy = forms.ChoiceField(
        required=False,
        label=_('NUMA Affinity'),
        choices=_choices(_NUMA_POLICIES, _('as the server asks')),
    )
    state = forms.ChoiceField(
        label=_('State'),
        choices=[
            ('active', _('active')),
            ('deprecated', _('deprecated: users should choose another one')),
            ('disabled', _('disabled: takes no new requests')),
        ],
    )
    is_public = forms.BooleanField(
        required=False, initial=True, label=_('For all projects')
    )

    def clean_match(self) -> list[dict[str, Any]]:
        """Return the alternatives.

        :raises ValidationError: a line is no alternative.
        """
        lines = self.cleaned_data['match'].splitlines()
        try:
            return [match_text.parse(line) for line in lines if line.strip()]
        except argparse.ArgumentTypeError as error:
            raise ValidationError(str(error)) from error

    def values(self) -> dict[str, Any]:
        """Return the fields in the form of the API."""
        # Only a text can be empty; the API has null for what is not given.
        return {
            name: None if value == '' else value
            for name, value in self.cleaned_data.items()
            if name in FlavorForm.base_fields
        }


class CreateForm(FlavorForm):
    """The form for a new PCI flavor."""

    def preview(self, request: Any) -> Any:
        """Return the effect that the creation would have."""
        return api.service(request).preview_create_pci_flavor(**self.values())

    def handle(self, request: Any, data: dict[str, Any]) -> bool:
        """Create the PCI flavor; return whether it is done."""
        try:
            flavor = api.service(request).create_pci_flavor(**self.values())
        except api.ServiceError as error:
            self.api_error(str(error))
            return False
        messages.success(
            request, _('Created the PCI flavor %s.') % flavor.name
        )
        _warn(request, flavor)
        return True


class UpdateForm(FlavorForm):
    """The form for a change."""

    force = forms.BooleanField(
        required=False,
        label=_('Even if instances hold devices that it would not match'),
        help_text=_('They keep them, but cannot move to another host.'),
    )
    pci_flavor_id = forms.CharField(widget=forms.HiddenInput())
    # That of the PCI flavor as the user saw it.
    generation = forms.IntegerField(widget=forms.HiddenInput())

    def _change(self) -> dict[str, Any]:
        changed = {
            name: value
            for name, value in self.values().items()
            if name in self.changed_data
        }
        return {
            'force': self.cleaned_data['force'],
            'generation': self.cleaned_data['generation'],
            **changed,
        }

    def preview(self, request: Any) -> Any:
        """Return the effect that the change would have."""
        return api.service(request).preview_update_pci_flavor(
            self.cleaned_data['pci_flavor_id'], **self._change()
        )

    def handle(self, request: Any, data: dict[str, Any]) -> bool:
        """Change the PCI flavor; return whether it is done."""
        try:
            flavor = api.service(request).update_pci_flavor(
                data['pci_flavor_id'], **self._change()
            )
        except api.ServiceError as error:
            self.api_error(str(error))
            return False
        messages.success(
            request, _('Changed the PCI flavor %s.') % flavor.name
        )
        _warn(request, flavor)
        return True


class ShareForm(forms.SelfHandlingForm):
    """The form for the projects that a PCI flavor is shared with."""

    projects = forms.CharField(
        required=False,
        label=_('Projects'),
        widget=forms.Textarea(attrs={'rows': 6, 'spellcheck': 'false'}),
        help_text=_('The name or the ID of one project on each line.'),
    )
    pci_flavor_id = forms.CharField(widget=forms.HiddenInput())
    generation = forms.IntegerField(widget=forms.HiddenInput())

    def clean_projects(self) -> list[str]:
        """Return the IDs of the projects.

        :raises ValidationError: Keystone has no such project, or several.
        """
        texts = map(str.strip, self.cleaned_data['projects'].splitlines())
        return sorted({self._project_id(text) for text in texts if text})

    def _project_id(self, text: str) -> str:
        projects, _more = keystone.tenant_list(self.request)
        by_id = {project.id for project in projects}
        if text in by_id:
            return text
        ids = [project.id for project in projects if project.name == text]
        if len(ids) != 1:
            raise ValidationError(
                _('%(count)s projects have the name or ID %(text)s')
                % {'count': len(ids), 'text': text}
            )
        return str(ids[0])

    def handle(self, request: Any, data: dict[str, Any]) -> bool:
        """Share the PCI flavor with these projects and no others."""
        try:
            flavor = api.service(request).update_pci_flavor(
                data['pci_flavor_id'],
                generation=data['generation'],
                access=data['projects'],
            )
        except api.ServiceError as error:
            self.api_error(str(error))
            return False
        messages.success(
            request,
            _('Changed who may use the PCI flavor %s.') % flavor.name,
        )
        return True


class DeleteForm(forms.SelfHandlingForm):
    """The form that confirms a deletion."""

    force = forms.BooleanField(
        required=False,
        label=_('Even if instances hold devices through it'),
        help_text=_(
            'They keep them, but cannot move to another host. Disabling is '
            'the gentler way.'
        ),
    )
    pci_flavor_id = forms.CharField(widget=forms.HiddenInput())

    def handle(self, request: Any, data: dict[str, Any]) -> bool:
        """Delete the PCI flavor; return whether it is done."""
        try:
            api.service(request).delete_pci_flavor(
                data['pci_flavor_id'], force=data['force']
            )
        except api.ServiceError as error:
            self.api_error(str(error))
            return False
        messages.success(request, _('Deleted the PCI flavor.'))
        return True


def _warn(request: Any, flavor: Any) -> None:
    for warning in flavor.warnings or ():
        messages.warning(request, warning['text'])
