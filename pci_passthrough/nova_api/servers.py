# SPDX-License-Identifier: Apache-2.0
"""Asks Nova's REST API which servers there are, for the audit."""

from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
from typing import Any
from typing import Final

from keystoneauth1 import exceptions

from pci_passthrough import audit
from pci_passthrough import exception
from pci_passthrough.nova_api import connection
from pci_passthrough.specs import request as request_spec

#: With it, servers in a cell that is down are in the answers, with the status
#: ``UNKNOWN``. Before it they are left out, as if they were deleted.
#: https://docs.openstack.org/nova/latest/reference/api-microversion-history.html
_MICROVERSION: Final = '2.69'

#: Servers of a page; Nova may give fewer (``[api] max_limit``).
_PAGE: Final = 1000


class Servers(connection.Connection):
    """Nova's servers of all projects, asked anew each time."""

    def all(self, host: str | None = None) -> dict[str, audit.Server]:
        """Return the servers by UUID.

        :param host: only those that Nova has on this host.
        :raises NovaUnavailable: Nova does not tell.
        """
        with _failures():
            return {
                server['id']: _server(server) for server in self._pages(host)
            }

    def get(self, uuid: str) -> audit.Server | None:
        """Return a server; None if Nova has none of this UUID.

        :raises NovaUnavailable: Nova does not tell.
        """
        with _failures():
            try:
                answer = self.nova().get(
                    f'/servers/{uuid}', microversion=_MICROVERSION
                )
            except exceptions.NotFound:
                return None
            return _server(answer.json()['server'])

    def _pages(self, host: str | None) -> Iterator[Mapping[str, Any]]:
        filters = {'all_tenants': 'true', 'limit': str(_PAGE)}
        if host is not None:
            filters['host'] = host
        page: list[Mapping[str, Any]] | None = None
        while page is None or page:
            answer = self.nova().get(
                '/servers/detail', params=filters, microversion=_MICROVERSION
            )
            page = answer.json()['servers']
            yield from page
            if page:
                filters['marker'] = page[-1]['id']


@contextlib.contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except connection.ERRORS as error:
        raise exception.NovaUnavailable(
            f'Nova does not tell its servers: {type(error).__name__}: {error}'
        ) from error


def _server(document: Mapping[str, Any]) -> audit.Server:
    """Return a server from Nova's document.

    A server of a cell that is down has few fields.
    """
    return audit.Server(
        uuid=document['id'],
        status=document['status'],
        host=document.get('OS-EXT-SRV-ATTR:host') or None,
        task=document.get('OS-EXT-STS:task_state'),
        project_id=document.get('tenant_id'),
        devices=_wanted(document.get('flavor', {}).get('extra_specs') or {}),
    )


def _wanted(extra_specs: Mapping[str, str]) -> int:
    """Return how many devices a server's flavor asks for."""
    try:
        requests = request_spec.from_extra_specs(extra_specs)
    except exception.PciPassthroughError:
        # Nova refuses to make such a server; an administrator has forced it.
        return 0
    return sum(request.count for request in requests)
