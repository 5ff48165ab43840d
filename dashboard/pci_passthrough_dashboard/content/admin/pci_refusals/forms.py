# SPDX-License-Identifier: Apache-2.0
"""The filter of refusals."""

from django import forms as django_forms
from django.utils.translation import gettext_lazy as _

from pci_passthrough_dashboard.content import paging


class FilterForm(paging.FilterForm):
    """The filter; its fields are parameters of the API."""

    server = django_forms.CharField(required=False, label=_('Server (ID)'))
    pci_flavor = django_forms.CharField(
        required=False, label=_('For want of PCI flavor')
    )
    since = django_forms.CharField(
        required=False,
        label=_('Since (UTC)'),
        widget=django_forms.TextInput(
            attrs={'placeholder': '2026-11-30T12:00:00Z'}
        ),
    )
