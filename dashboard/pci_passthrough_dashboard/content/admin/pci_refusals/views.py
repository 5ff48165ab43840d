# SPDX-License-Identifier: Apache-2.0
"""Why servers found no host, or not each one."""

from django.utils.translation import gettext_lazy as _

from pci_passthrough_dashboard.content import paging
from pci_passthrough_dashboard.content.admin.pci_refusals import (
    forms as refusal_forms,
)
from pci_passthrough_dashboard.content.admin.pci_refusals import (
    tables as refusal_tables,
)


class IndexView(paging.FilteredView):
    """Refusals of Nova's scheduler, newest first."""

    table_class = refusal_tables.PciRefusalsTable
    filter_class = refusal_forms.FilterForm
    method = 'refusals'
    page_title = _('Why No Host')
