# SPDX-License-Identifier: Apache-2.0
"""The table of refusals."""

from typing import Any

from django.template.loader import render_to_string
from django.utils.translation import gettext_lazy as _
from horizon import tables

from pci_passthrough_dashboard.content import paging


def _reasons(refusal: Any) -> Any:
    """Return the reasons as a list in HTML."""
    return render_to_string(
        'pci_passthrough_dashboard/reasons.html',
        {'reasons': refusal.reasons},
    )


def _outcome(refusal: Any) -> Any:
    if refusal.passed is None:
        return _('unknown')
    if refusal.passed:
        return _('%s hosts were left') % refusal.passed
    return _('no host was left')


class PciRefusalsTable(paging.FilteredTable):
    """Refusals of Nova's scheduler, newest first."""

    created_at = tables.Column('created_at', verbose_name=_('At (UTC)'))
    server = tables.Column('server', verbose_name=_('Server'))
    project = tables.Column('project_id', verbose_name=_('Project'))
    requests = tables.Column('requests', verbose_name=_('Asked For'))
    outcome = tables.Column(_outcome, verbose_name=_('Outcome'))
    reasons = tables.Column(_reasons, verbose_name=_('Why Not'))

    class Meta:
        """What Horizon asks of a table."""

        name = 'pci_refusals'
        verbose_name = _('Why No Host')
        multi_select = False
