# SPDX-License-Identifier: Apache-2.0
"""The REST API, as the commands call it.

Objects are the service's own JSON objects, as dictionaries. Fields that a
newer service adds are in them without a change here.
"""

from collections.abc import Iterator
from collections.abc import Mapping
import functools
import itertools
from typing import Any
from typing import TYPE_CHECKING
from urllib import parse

from keystoneauth1 import adapter
from keystoneauth1 import exceptions as keystone_exceptions

from pci_passthrough.osc import errors
from pci_passthrough.osc import microversion

if TYPE_CHECKING:
    import requests

SERVICE_TYPE = 'pci-passthrough'

Query = Mapping[str, Any]


class Client:
    """A client of the service at the endpoint that an adapter finds.

    :param http: adapter for :data:`SERVICE_TYPE`, with the region and the
        interface that the user chose.
    :param version: microversion, as :func:`microversion.parse` returns it.
    """

    def __init__(
        self, http: adapter.Adapter, version: str = microversion.NEWEST
    ) -> None:
        self._http = http
        self._requested_version = version

    # PCI flavors

    def pci_flavors(
        self, query: Query, limit: int | None = None
    ) -> Iterator[dict[str, Any]]:
        """Yield PCI flavors, at most ``limit``."""
        return self._pages('/pci-flavors', 'pci_flavors', query, limit)

    def pci_flavor(self, name: str) -> tuple[dict[str, Any], str]:
        """Return a PCI flavor and its ETag.

        :param name: name or UUID, as in all methods.
        """
        # A proxy that compresses answers changes their ETags as well.
        response = self._request(
            'GET', _flavor(name), headers={'Accept-Encoding': 'identity'}
        )
        return response.json(), response.headers.get('ETag', '')

    def create_pci_flavor(
        self, values: Mapping[str, Any], dry_run: bool = False
    ) -> dict[str, Any]:
        """Return the new PCI flavor; with ``dry_run`` only its effect."""
        return _json_of(
            self._request(
                'POST', '/pci-flavors', values, _flags(dry_run=dry_run)
            )
        )

    def update_pci_flavor(
        self,
        name: str,
        etag: str,
        changes: Mapping[str, Any],
        force: bool = False,
        dry_run: bool = False,
    ) -> dict[str, Any]:
        """Return the changed PCI flavor; with ``dry_run`` only the effect.

        :param etag: ETag of the version that the change is based on.
        """
        return _json_of(
            self._request(
                'PATCH',
                _flavor(name),
                changes,
                _flags(force=force, dry_run=dry_run),
                {'If-Match': etag},
            )
        )

    def delete_pci_flavor(self, name: str, force: bool = False) -> None:
        """Delete a PCI flavor."""
        self._request('DELETE', _flavor(name), query=_flags(force=force))

    def deletion_effect(
        self, name: str, force: bool = False
    ) -> dict[str, Any]:
        """Return the effect that :meth:`delete_pci_flavor` would have."""
        return _json_of(
            self._request(
                'DELETE',
                _flavor(name),
                query=_flags(force=force, dry_run=True),
            )
        )

    def access(self, name: str) -> list[str]:
        """Return the projects that a PCI flavor is shared with."""
        return list(self._get(f'{_flavor(name)}/access')['access'])

    def add_access(self, name: str, project_id: str) -> None:
        """Share a PCI flavor with a project."""
        self._request('PUT', f'{_flavor(name)}/access/{_quote(project_id)}')

    def remove_access(self, name: str, project_id: str) -> None:
        """Stop sharing a PCI flavor with a project."""
        self._request('DELETE', f'{_flavor(name)}/access/{_quote(project_id)}')

    def availability(self, name: str, count: int) -> dict[str, Any]:
        """Return the supply for requests of ``count`` devices each."""
        return self._get(f'{_flavor(name)}/availability', {'count': count})

    def explain(
        self,
        name: str,
        count: int,
        hosts: list[str] | None = None,
        physical_networks: list[str] | None = None,
    ) -> dict[str, Any]:
        """Return why hosts serve requests of ``count`` devices, or do not.

        :param hosts: consider only these hosts; for administrators.
        :param physical_networks: consider only devices for NICs on one of
            these networks; for administrators. An empty name means devices
            on no physical network.
        """
        path = f'{_flavor(name)}/explain'
        query = {
            'count': count,
            'host': hosts,
            'physical_network': physical_networks,
        }
        pages = self._responses(path, query)
        explanation: dict[str, Any] = next(pages)
        for page in pages:
            explanation['hosts'] += page['hosts']
        return explanation

    # Devices, pools, hosts, refusals

    def pci_devices(
        self, query: Query, limit: int | None = None
    ) -> Iterator[dict[str, Any]]:
        """Yield devices, at most ``limit``."""
        return self._pages('/pci-devices', 'pci_devices', query, limit)

    def pci_device(self, which: str) -> dict[str, Any]:
        """Return a device.

        :param which: UUID, or ``HOST/ADDRESS``.
        """
        host, slash, address = which.rpartition('/')
        if not slash:
            return self._get(_device(which))
        for device in self.pci_devices({'host': host, 'address': address}, 1):
            return device
        raise errors.ClientError(
            f'no PCI device {which!r}: host {host} has no device at this '
            'address, or there is no such host'
        )

    def pci_device_history(
        self, which: str, limit: int | None
    ) -> list[dict[str, Any]]:
        """Return the events of a device, oldest first.

        :param which: UUID, even of a device that is gone; or
            ``HOST/ADDRESS``.
        :param limit: return only the newest events.
        """
        path = f'{_device(self._uuid(which))}/history'
        return list(self._get(path, {'limit': limit})['events'])

    def update_pci_device(
        self, which: str, action: str, reason: str | None
    ) -> dict[str, Any]:
        """Disable, enable, quarantine or release a device, and return it.

        :param which: UUID, or ``HOST/ADDRESS``.
        :param action: ``disable``, ``enable``, ``quarantine`` or ``release``.
        """
        body = {'action': action}
        if reason is not None:
            body['reason'] = reason
        return _json_of(
            self._request('PATCH', _device(self._uuid(which)), body)
        )

    def resolve_pci_device(
        self, which: str, moved_to: str | None, reason: str
    ) -> dict[str, Any]:
        """Say where the hardware of a device in conflict is; return it.

        :param which: UUID, or ``HOST/ADDRESS``.
        :param moved_to: the address at which it is now; None means that it is
            gone.
        """
        body: dict[str, Any] = {'action': 'resolve', 'reason': reason}
        body |= {'gone': True} if moved_to is None else {'moved_to': moved_to}
        return _json_of(
            self._request('PATCH', _device(self._uuid(which)), body)
        )

    def _uuid(self, which: str) -> str:
        if '/' in which:
            return str(self.pci_device(which)['uuid'])
        return which

    def pci_pools(
        self, query: Query, limit: int | None = None
    ) -> Iterator[dict[str, Any]]:
        """Yield pools, at most ``limit``."""
        return self._pages('/pci-pools', 'pci_pools', query, limit)

    def hosts(
        self, query: Query, limit: int | None = None
    ) -> Iterator[dict[str, Any]]:
        """Yield hosts, at most ``limit``."""
        return self._pages('/hosts', 'hosts', query, limit)

    def delete_host(
        self, name: str, force: bool = False, reason: str | None = None
    ) -> None:
        """Forget a host that is down.

        :param force: even if instances hold devices of it.
        """
        query = {**_flags(force=force), 'reason': reason}
        self._request('DELETE', f'/hosts/{_quote(name)}', query=query)

    def refusals(
        self, query: Query, limit: int | None = None
    ) -> Iterator[dict[str, Any]]:
        """Yield refusals of Nova's scheduler, at most ``limit``."""
        return self._pages('/refusals', 'refusals', query, limit)

    # HTTP

    def _pages(
        self, path: str, key: str, query: Query, limit: int | None
    ) -> Iterator[dict[str, Any]]:
        # The service refuses more than 1000 items per page.
        page_size = None if limit is None else min(limit, 1000)
        pages = self._responses(path, {**query, 'limit': page_size})
        items = itertools.chain.from_iterable(page[key] for page in pages)
        return itertools.islice(items, limit)

    def _responses(self, path: str, query: Query) -> Iterator[dict[str, Any]]:
        """Yield a page, and all pages that the links lead to."""
        page_query: Query | None = query
        while page_query is not None:
            page = self._get(path, page_query)
            yield page
            page_query = None
            for link in page.get('links', []):
                if link['rel'] == 'next':
                    # The link has the service's own host and path. Behind a
                    # proxy the user's URL differs, so only the query counts.
                    page_query = parse.parse_qs(
                        parse.urlsplit(link['href']).query,
                        keep_blank_values=True,
                    )

    def _get(self, path: str, query: Query | None = None) -> dict[str, Any]:
        return _json_of(self._request('GET', path, query=query))

    def _request(
        self,
        method: str,
        path: str,
        body: Any = None,
        query: Query | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> 'requests.Response':
        """Send a request and return the response.

        :param query: parameters; those with the value None are left out.
        :raises errors.ClientError: the response is an error.
        """
        root, version = self._service
        response = self._send(
            method,
            f'{root}{path}',
            json=body,
            params={
                key: _parameter(value)
                for key, value in (query or {}).items()
                if value is not None
            },
            headers={
                'OpenStack-API-Version': f'{SERVICE_TYPE} {version}',
                **(headers or {}),
            },
        )
        if response.status_code >= 400:
            raise errors.from_response(response)
        return response

    @functools.cached_property
    def _service(self) -> tuple[str, str]:
        """The URL of ``/v1``, and the microversion for the requests."""
        root = self._endpoint().rstrip('/')
        # A versioned endpoint answers with a discovery document, too.
        versioned = root.endswith('/v1')
        response = self._send(
            'GET', root if versioned else f'{root}/', authenticated=False
        )
        if response.status_code in (401, 403) or response.status_code >= 500:
            raise errors.from_response(response)
        try:
            served = microversion.served(response.json())
        except ValueError:
            served = None
        if served is None:
            raise errors.ServiceUnreachable(
                f'{response.url} does not answer like the PCI passthrough '
                f'service (HTTP {response.status_code}): is the endpoint '
                'right?'
            )
        if not versioned:
            root += '/v1'
        return root, microversion.choose(self._requested_version, served)

    def _endpoint(self) -> str:
        """Return the service's URL from the catalogue, or from the user.

        :raises errors.ServiceNotFound: there is no URL.
        """
        try:
            endpoint = self._http.get_endpoint()
        except keystone_exceptions.EndpointNotFound:
            endpoint = None
        if not endpoint:
            raise errors.not_in_catalogue(
                SERVICE_TYPE, self._http.region_name, self._http.interface
            )
        return endpoint

    def _send(
        self, method: str, url: str, **keywords: Any
    ) -> 'requests.Response':
        try:
            return self._http.request(url, method, raise_exc=False, **keywords)
        except keystone_exceptions.ConnectionError as error:
            raise errors.ServiceUnreachable(
                f'the PCI passthrough service does not answer: {error}'
            ) from error


def _json_of(response: 'requests.Response') -> dict[str, Any]:
    """Return the JSON object in the body of a response."""
    try:
        return dict(response.json())
    except (TypeError, ValueError) as error:
        raise errors.ServiceUnreachable(
            f'{response.url} does not answer with JSON: it is not the '
            'PCI passthrough service, or a proxy before it is broken'
        ) from error


def _flags(**flags: bool) -> Query:
    """Return those flags of a query that are set."""
    return {name: True for name, value in flags.items() if value}


def _parameter(value: Any) -> Any:
    """Return a value in the form that a query has it."""
    return str(value).lower() if isinstance(value, bool) else value


def _flavor(name: str) -> str:
    return f'/pci-flavors/{_quote(name)}'


def _device(uuid: str) -> str:
    return f'/pci-devices/{_quote(uuid)}'


def _quote(segment: str) -> str:
    return parse.quote(segment, safe='')
