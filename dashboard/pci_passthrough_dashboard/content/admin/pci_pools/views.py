# SPDX-License-Identifier: Apache-2.0
"""The map of hosts and PCI flavors."""

from typing import Any
from typing import Final

from django.utils.translation import gettext_lazy as _
from horizon import messages
from horizon import views

from pci_passthrough_dashboard import api
from pci_passthrough_dashboard.content.admin.pci_pools import heat_map

#: The PCI flavors of one page; each needs a request of its own.
_FLAVORS: Final = 10


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
        return {
            'flavors': flavors,
            'next_flavors': flavors[-1].id if has_more else None,
            'marker': query.get('marker', ''),
            'first': first,
            'rows': heat_map.rows(
                sorted(host.id for host in service.pci_hosts()),
                [self._supply(service, flavor) for flavor in flavors],
                first,
            ),
        }

    @staticmethod
    def _supply(service: api.Service, flavor: Any) -> heat_map.Supply:
        supply = service.get_pci_flavor_availability(flavor)
        return {host['host']: _count(host) for host in supply.hosts or ()}


def _count(host: dict[str, Any]) -> heat_map.Count:
    """Return the devices of a host, from the API's answer.

    A service before microversion 1.4 does not tell states.
    """
    states = host.get('states', {})
    return heat_map.Count(
        host['free'],
        host['total'],
        states.get('claimed', 0) + states.get('allocated', 0),
        *(states.get(name, 0) for name in heat_map.Count._fields[3:]),
    )
