# SPDX-License-Identifier: Apache-2.0
"""*Admin > PCI*: the group of the operators' panels."""

from django.utils.translation import gettext_lazy as _

PANEL_GROUP = 'pci'
PANEL_GROUP_NAME = _('PCI')
PANEL_GROUP_DASHBOARD = 'admin'
