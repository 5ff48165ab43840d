# SPDX-License-Identifier: Apache-2.0
"""The map of hosts and PCI flavors."""

import collections
from typing import Any
from typing import Final

from django.utils.translation import gettext_lazy as _
from horizon import messages
from horizon import views

from pci_passthrough_dashboard import api
from pci_passthrough_dashboard.content import words
from pci_passthrough_dashboard.content.admin.pci_pools import heat_map

#: The PCI flavors of one page; each needs a request of its own.
_FLAVORS: Final = 10

#: The states that need attention, and how many of their devices are counted.
_STATES: Final = ('cleaning', 'quarantined', 'refused')
_MOST: Final = 3000


class IndexView(views.HorizonTemplateView):
    """How much of each PCI flavor is free, and where."""

    template_name = 'admin/pci_pools/index.html'
    page_title = _('PCI Pools')

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the map; an error of the service becomes a message."""
        context: dict[str, Any] = super().get_context_data(**kwargs)
        try:
            return context | self._map()
        except api.ServiceError as error:
            messages.error(self.request, str(error))
            return context

    def _map(self) -> dict[str, Any]:
        service = api.service(self.request)
        query = self.request.GET
        first = query.get('first')
        flavors, has_more = service.page(
            'pci_flavors', _FLAVORS, marker=query.get('marker')
        )
        others = [self._by_host(service, state) for state in _STATES]
        return {
            'flavors': flavors,
            'next_flavors': flavors[-1].id if has_more else None,
            'marker': query.get('marker', ''),
            'first': first,
            'states': [words.DEVICE_STATE[state] for state in _STATES],
            'rows': heat_map.rows(
                sorted(host.id for host in service.pci_hosts()),
                [self._supply(service, flavor) for flavor in flavors],
                others,
                first,
            ),
            'cut': any(sum(state.values()) >= _MOST for state in others),
            'most': _MOST,
        }

    @staticmethod
    def _supply(service: api.Service, flavor: Any) -> heat_map.Supply:
        supply = service.get_pci_flavor_availability(flavor)
        return {
            host['host']: heat_map.Count(host['free'], host['total'])
            for host in supply.hosts or ()
        }

    @staticmethod
    def _by_host(service: api.Service, state: str) -> dict[str, int]:
        devices, _more = service.page('pci_devices', _MOST, state=state)
        return collections.Counter(device.host for device in devices)
