# SPDX-License-Identifier: Apache-2.0
"""The REST API, as both shells call it.

Objects are dictionaries as the service sends them: what a newer one adds is
there at once.
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
    """The service, at the endpoint that an adapter finds.

    :param http: of :data:`SERVICE_TYPE`, in the region and with the interface
        that the user chose.
    :param version: as :func:`microversion.parse` returns it.
    """

    def __init__(
        self, http: adapter.Adapter, version: str = microversion.NEWEST
    ) -> None:
        self._http = http
        self._wanted = version

    # PCI flavors

    def pci_flavors(
        self, query: Query, limit: int | None = None
    ) -> Iterator[dict[str, Any]]:
        """Yield PCI flavors, at most so many."""
        return self._pages('/pci-flavors', 'pci_flavors', query, limit)

    def pci_flavor(self, name: str) -> tuple[dict[str, Any], str]:
        """Return a PCI flavor and its ETag.

        :param name: or UUID, as everywhere.
        """
        # A proxy that compresses answers changes their ETags as well.
        response = self._ask(
            'GET', _flavor(name), headers={'Accept-Encoding': 'identity'}
        )
        return response.json(), response.headers.get('ETag', '')

    def create_pci_flavor(
        self, values: Mapping[str, Any], dry_run: bool = False
    ) -> dict[str, Any]:
        """Return the new PCI flavor, or the effect that it would have."""
        return self._json(
            'POST', '/pci-flavors', values, {'dry_run': dry_run or None}
        )

    def update_pci_flavor(
        self,
        name: str,
        etag: str,
        changes: Mapping[str, Any],
        force: bool = False,
        dry_run: bool = False,
    ) -> dict[str, Any]:
        """Return the PCI flavor as it is then, or the effect of the change.

        :param etag: of what the change is based on.
        """
        return self._json(
            'PATCH',
            _flavor(name),
            changes,
            {'force': force or None, 'dry_run': dry_run or None},
            {'If-Match': etag},
        )

    def delete_pci_flavor(self, name: str, force: bool = False) -> None:
        """Delete a PCI flavor."""
        self._ask('DELETE', _flavor(name), query={'force': force or None})

    def deletion_effect(
        self, name: str, force: bool = False
    ) -> dict[str, Any]:
        """Return the effect that :meth:`delete_pci_flavor` would have."""
        return self._json(
            'DELETE',
            _flavor(name),
            query={'force': force or None, 'dry_run': True},
        )

    def access(self, name: str) -> list[str]:
        """Return the projects that a PCI flavor is shared with."""
        return list(self._json('GET', f'{_flavor(name)}/access')['access'])

    def add_access(self, name: str, project_id: str) -> None:
        """Share a PCI flavor with a project."""
        self._ask('PUT', f'{_flavor(name)}/access/{_quote(project_id)}')

    def remove_access(self, name: str, project_id: str) -> None:
        """Share a PCI flavor with a project no longer."""
        self._ask('DELETE', f'{_flavor(name)}/access/{_quote(project_id)}')

    def availability(self, name: str, count: int) -> dict[str, Any]:
        """Return how much there is for requests of so many devices."""
        return self._json(
            'GET', f'{_flavor(name)}/availability', query={'count': count}
        )

    def explain(
        self,
        name: str,
        count: int,
        hosts: list[str] | None = None,
        physical_networks: list[str] | None = None,
    ) -> dict[str, Any]:
        """Return why requests of so many devices are served, or not.

        :param hosts: only these, for an administrator.
        :param physical_networks: only devices for NICs on one of these, for
            an administrator, too; an empty name: on none.
        """
        path = f'{_flavor(name)}/explain'
        query = {
            'count': count,
            'host': hosts,
            'physical_network': physical_networks,
        }
        pages = self._responses(path, query)
        found: dict[str, Any] = next(pages)
        for page in pages:
            found['hosts'] += page['hosts']
        return found

    # Devices, pools, hosts

    def pci_devices(
        self, query: Query, limit: int | None = None
    ) -> Iterator[dict[str, Any]]:
        """Yield devices, at most so many."""
        return self._pages('/pci-devices', 'pci_devices', query, limit)

    def pci_device(self, which: str) -> dict[str, Any]:
        """Return a device.

        :param which: UUID, or ``HOST/ADDRESS``.
        """
        host, slash, address = which.rpartition('/')
        if not slash:
            return self._json('GET', _device(which))
        for device in self.pci_devices({'host': host, 'address': address}, 1):
            return device
        raise errors.ClientError(
            f'host {host} has no device {address}, or there is no such host'
        )

    def pci_device_history(
        self, which: str, limit: int | None
    ) -> list[dict[str, Any]]:
        """Return what happened to a device, oldest first.

        :param which: UUID, also of one that is gone; or ``HOST/ADDRESS``.
        :param limit: only the newest.
        """
        path = f'{_device(self._uuid(which))}/history'
        events = self._json('GET', path, query={'limit': limit})['events']
        return list(events)

    def update_pci_device(
        self, which: str, action: str, reason: str | None
    ) -> dict[str, Any]:
        """Return a device after ``disable``, ``enable``, ….

        :param which: UUID, or ``HOST/ADDRESS``.
        """
        body = {'action': action}
        if reason is not None:
            body['reason'] = reason
        return self._json('PATCH', _device(self._uuid(which)), body)

    def _uuid(self, which: str) -> str:
        if '/' in which:
            return str(self.pci_device(which)['uuid'])
        return which

    def pci_pools(
        self, query: Query, limit: int | None = None
    ) -> Iterator[dict[str, Any]]:
        """Yield pools, at most so many."""
        return self._pages('/pci-pools', 'pci_pools', query, limit)

    def hosts(
        self, query: Query, limit: int | None = None
    ) -> Iterator[dict[str, Any]]:
        """Yield hosts, at most so many."""
        return self._pages('/hosts', 'hosts', query, limit)

    # HTTP

    def _pages(
        self, path: str, key: str, query: Query, limit: int | None
    ) -> Iterator[dict[str, Any]]:
        # The service refuses more than 1000 at once.
        asked = None if limit is None else min(limit, 1000)
        pages = self._responses(path, {**query, 'limit': asked})
        items = itertools.chain.from_iterable(page[key] for page in pages)
        return itertools.islice(items, limit)

    def _responses(self, path: str, query: Query) -> Iterator[dict[str, Any]]:
        """Yield pages, as long as each one names a next one."""
        wanted: Query | None = query
        while wanted is not None:
            page = self._json('GET', path, query=wanted)
            yield page
            wanted = None
            for link in page.get('links', []):
                if link['rel'] == 'next':
                    # Its host and path are the service's own, which differ
                    # from what the user reaches if there is a proxy between.
                    wanted = parse.parse_qs(
                        parse.urlsplit(link['href']).query,
                        keep_blank_values=True,
                    )

    def _json(
        self,
        method: str,
        path: str,
        body: Any = None,
        query: Query | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        response = self._ask(method, path, body, query, headers)
        try:
            return dict(response.json())
        except (TypeError, ValueError) as error:
            raise errors.ServiceUnreachable(
                f'{response.url} does not answer with JSON: it is not the '
                'PCI passthrough service, or something between is broken'
            ) from error

    def _ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        query: Query | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> 'requests.Response':
        """Return the answer to a request.

        :param query: what is None is left out.
        :raises errors.ClientError: instead of an answer with an error.
        """
        root, version = self._service
        response = self._send(
            method,
            f'{root}{path}',
            json=body,
            params={
                key: _word(value)
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
        """The URL of ``/v1``, and the microversion to speak there."""
        root = self._endpoint().rstrip('/')
        # What a versioned endpoint leads to is a discovery document as well.
        versioned = root.endswith('/v1')
        response = self._send(
            'GET', root if versioned else f'{root}/', authenticated=False
        )
        if response.status_code in (401, 403) or response.status_code >= 500:
            raise errors.from_response(response)
        try:
            service = microversion.served(response.json())
        except ValueError:
            service = None
        if service is None:
            raise errors.ServiceUnreachable(
                f'{response.url} does not answer like the PCI passthrough '
                f'service (HTTP {response.status_code}): is the endpoint '
                'right?'
            )
        if not versioned:
            root += '/v1'
        return root, microversion.choose(self._wanted, service)

    def _endpoint(self) -> str:
        """Return what the catalogue, or the user, has as the URL.

        :raises errors.ServiceNotFound: if there is none.
        """
        try:
            endpoint = self._http.get_endpoint()
        except keystone_exceptions.EndpointNotFound:
            endpoint = None
        if not endpoint:
            raise errors.ServiceNotFound(_not_in_catalogue(self._http))
        return endpoint

    def _send(
        self, method: str, url: str, **words: Any
    ) -> 'requests.Response':
        try:
            return self._http.request(url, method, raise_exc=False, **words)
        except keystone_exceptions.ConnectionError as error:
            raise errors.ServiceUnreachable(
                f'the PCI passthrough service does not answer: {error}'
            ) from error


def _not_in_catalogue(http: adapter.Adapter) -> str:
    where = ''.join(
        f', {what} {value}'
        for what, value in (
            ('region', http.region_name),
            ('interface', http.interface),
        )
        if value
    )
    return (
        f'the catalogue has no endpoint of a service of type {SERVICE_TYPE}'
        f'{where}: it is not installed in this cloud, or not registered in '
        'Keystone'
    )


def _word(value: Any) -> Any:
    """Return a value as it is said in a query."""
    return str(value).lower() if isinstance(value, bool) else value


def _flavor(name: str) -> str:
    return f'/pci-flavors/{_quote(name)}'


def _device(uuid: str) -> str:
    return f'/pci-devices/{_quote(uuid)}'


def _quote(word: str) -> str:
    return parse.quote(word, safe='')
