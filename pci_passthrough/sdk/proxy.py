# SPDX-License-Identifier: Apache-2.0
"""``connection.pci_passthrough``: the calls of the REST API."""

from collections.abc import Iterator
from collections.abc import Sequence
import functools
from typing import Any
from typing import TYPE_CHECKING
from typing import TypeVar

from keystoneauth1 import exceptions as keystone_exceptions
from openstack import exceptions
from openstack import proxy

from pci_passthrough.sdk import base
from pci_passthrough.sdk import errors
from pci_passthrough.sdk import pci_device
from pci_passthrough.sdk import pci_flavor
from pci_passthrough.sdk import pci_flavor_availability
from pci_passthrough.sdk import pci_flavor_effect
from pci_passthrough.sdk import pci_flavor_explanation
from pci_passthrough.sdk import pci_host
from pci_passthrough.sdk import pci_pool
from pci_passthrough.sdk import refusal
from pci_passthrough.sdk import usage
from pci_passthrough.sdk import versions

if TYPE_CHECKING:
    import requests

_Resource = TypeVar('_Resource', bound=base.Resource)

#: A PCI flavor, or its UUID or name.
PciFlavorOrName = pci_flavor.PciFlavor | str
#: A device, or its UUID, or ``HOST/ADDRESS``.
PciDeviceOrName = pci_device.PciDevice | str


class Proxy(proxy.Proxy):
    """The REST API of the service.

    Lists are generators over all pages; ``limit`` is the size of a page.
    Errors are those of :mod:`pci_passthrough.sdk.errors`.
    """

    api_version = '1'

    _resource_registry = {  # noqa: RUF012 (openstacksdk's)
        'pci_flavor': pci_flavor.PciFlavor,
        'pci_device': pci_device.PciDevice,
        'pci_pool': pci_pool.PciPool,
        'pci_host': pci_host.PciHost,
        'refusal': refusal.Refusal,
        'usage': usage.Usage,
    }

    # PCI flavors

    def pci_flavors(self, **query: Any) -> Iterator[pci_flavor.PciFlavor]:
        """List the PCI flavors that the project may use.

        :param query: ``name``, ``state``, ``is_public``, ``vnic_type``,
            ``project_id``, ``origin``, ``availability`` (whether to tell
            it), ``sort``, ``limit``, ``marker``.
        """
        return self._items(pci_flavor.PciFlavor, query)

    def get_pci_flavor(self, flavor: PciFlavorOrName) -> pci_flavor.PciFlavor:
        """Return a PCI flavor as it is now."""
        # A proxy that compresses answers changes their ETags as well.
        response = self.get(
            _flavor(flavor), headers={'Accept-Encoding': 'identity'}
        )
        return pci_flavor.PciFlavor.answered(self, response)

    def find_pci_flavor(
        self, name_or_id: str, ignore_missing: bool = True
    ) -> pci_flavor.PciFlavor | None:
        """Return a PCI flavor.

        :param ignore_missing: return None if there is none.
        """
        try:
            return self.get_pci_flavor(name_or_id)
        except exceptions.NotFoundException:
            if ignore_missing:
                return None
            raise

    def create_pci_flavor(self, **attrs: Any) -> pci_flavor.PciFlavor:
        """Create a PCI flavor.

        :param attrs: ``name`` and ``match``; ``description``, ``vnic_type``,
            ``numa_policy``, ``is_public``, ``state``, ``access``,
            ``project_id``.
        """
        response = self.post(pci_flavor.PciFlavor.base_path, json=attrs)
        return pci_flavor.PciFlavor.answered(self, response)

    def update_pci_flavor(
        self, flavor: PciFlavorOrName, force: bool = False, **attrs: Any
    ) -> pci_flavor.PciFlavor:
        """Change a PCI flavor, unless another client changed it meanwhile.

        :param flavor: the PCI flavor that the change is based on; values that
            were set in it are changed, too. A name or UUID means the PCI
            flavor as it is now.
        :param force: even if instances hold devices that the PCI flavor
            would no longer match.
        :param attrs: as in :meth:`create_pci_flavor`, without ``project_id``;
            ``generation`` names the state that the change is based on.
        :raises openstack.exceptions.PreconditionFailedException: another
            client changed it.
        """
        response = self._patch_pci_flavor(flavor, attrs, force=force)
        if isinstance(flavor, str):
            return pci_flavor.PciFlavor.answered(self, response)
        flavor._translate_response(response)
        return flavor

    def delete_pci_flavor(
        self,
        flavor: PciFlavorOrName,
        ignore_missing: bool = True,
        force: bool = False,
    ) -> None:
        """Delete a PCI flavor.

        :param force: even if instances hold devices through it.
        """
        try:
            self.delete(_flavor(flavor), params=_flags(force=force))
        except exceptions.NotFoundException:
            if not ignore_missing:
                raise

    # Their effects, without a change

    def preview_create_pci_flavor(
        self, **attrs: Any
    ) -> pci_flavor_effect.Effect:
        """Return the effect that :meth:`create_pci_flavor` would have."""
        response = self.post(
            pci_flavor.PciFlavor.base_path,
            json=attrs,
            params=_flags(dry_run=True),
        )
        return pci_flavor_effect.Effect.answered(self, response)

    def preview_update_pci_flavor(
        self, flavor: PciFlavorOrName, force: bool = False, **attrs: Any
    ) -> pci_flavor_effect.Effect:
        """Return the effect that :meth:`update_pci_flavor` would have."""
        response = self._patch_pci_flavor(
            flavor, attrs, force=force, dry_run=True
        )
        return pci_flavor_effect.Effect.answered(self, response)

    def preview_delete_pci_flavor(
        self, flavor: PciFlavorOrName, force: bool = False
    ) -> pci_flavor_effect.Effect:
        """Return the effect that :meth:`delete_pci_flavor` would have."""
        response = self.delete(
            _flavor(flavor), params=_flags(force=force, dry_run=True)
        )
        return pci_flavor_effect.Effect.answered(self, response)

    # Who may use a PCI flavor, and how much of it is left

    def pci_flavor_access(self, flavor: PciFlavorOrName) -> list[str]:
        """Return the projects that a PCI flavor is shared with."""
        return list(self.get(f'{_flavor(flavor)}/access').json()['access'])

    def add_pci_flavor_access(
        self, flavor: PciFlavorOrName, project_id: str
    ) -> None:
        """Share a PCI flavor with a project."""
        self.put(f'{_flavor(flavor)}/access/{base.id_of(project_id)}')

    def remove_pci_flavor_access(
        self, flavor: PciFlavorOrName, project_id: str
    ) -> None:
        """Stop sharing a PCI flavor with a project."""
        self.delete(f'{_flavor(flavor)}/access/{base.id_of(project_id)}')

    def get_pci_flavor_availability(
        self, flavor: PciFlavorOrName, count: int = 1
    ) -> pci_flavor_availability.Availability:
        """Return the supply for requests of ``count`` devices each."""
        response = self.get(
            f'{_flavor(flavor)}/availability', params={'count': count}
        )
        return pci_flavor_availability.Availability.answered(self, response)

    def explain_pci_flavor(
        self,
        flavor: PciFlavorOrName,
        count: int = 1,
        hosts: Sequence[str] | None = None,
        physical_networks: Sequence[str] | None = None,
    ) -> pci_flavor_explanation.Explanation:
        """Return why hosts serve requests of ``count`` devices, or do not.

        :param hosts: consider only these hosts; for administrators.
        :param physical_networks: consider only devices for NICs on one of
            these networks; for administrators. An empty name means devices
            on no physical network.
        """
        path = f'{_flavor(flavor)}/explain'
        query: base.Query = base.in_url(
            {
                'count': count,
                'host': hosts,
                'physical_network': physical_networks,
            }
        )
        first = response = self.get(path, params=query)
        explanation = pci_flavor_explanation.Explanation.answered(self, first)
        while query := base.next_query(response.json()):
            response = self.get(path, params=query)
            explanation.hosts += response.json()['hosts']
        return explanation

    # Devices, pools, hosts, refusals

    def pci_devices(self, **query: Any) -> Iterator[pci_device.PciDevice]:
        """List devices, by host and address.

        :param query: ``host``, ``address``, ``state``, ``pci_flavor`` (which
            matches them), ``held_by`` (a PCI flavor), ``instance_uuid``,
            ``vendor_id``, ``product_id``, ``dev_type``, ``numa_node``,
            ``resource_type``, ``limit``, ``marker``.
        """
        return self._items(pci_device.PciDevice, query)

    def get_pci_device(self, device: PciDeviceOrName) -> pci_device.PciDevice:
        """Return a device as it is now."""
        if isinstance(device, str) and '/' in device:
            host, _, address = device.rpartition('/')
            query = {'host': host, 'address': address, 'limit': 1}
            for item in self.pci_devices(**query):
                return item
            raise exceptions.NotFoundException(
                f'no PCI device {device!r}: host {host} has no device at '
                'this address, or there is no such host'
            )
        response = self.get(f'/pci-devices/{base.id_of(device)}')
        return pci_device.PciDevice.answered(self, response)

    def update_pci_device(
        self, device: PciDeviceOrName, action: str, reason: str | None = None
    ) -> pci_device.PciDevice:
        """Take a device out of service, or put it back, and return it.

        :param action: ``disable``, ``enable``, ``quarantine``, ``release`` or
            ``clean``.
        """
        return self._act(device, {'action': action, 'reason': reason})

    def resolve_pci_device(
        self, device: PciDeviceOrName, moved_to: str | None, reason: str
    ) -> pci_device.PciDevice:
        """Say where the hardware of a device in conflict is; return it.

        :param moved_to: the address at which it is now; None means that it is
            gone.
        """
        return self._act(
            device,
            {
                'action': 'resolve',
                'reason': reason,
                'moved_to': moved_to,
                'gone': True if moved_to is None else None,
            },
        )

    def pci_device_history(
        self, device: PciDeviceOrName, limit: int | None = None
    ) -> list[pci_device.PciDeviceEvent]:
        """Return the events of a device, oldest first.

        :param device: its UUID may be that of a device that is gone.
        :param limit: return only the newest events.
        """
        response = self.get(
            f'{self._device(device)}/history',
            params=base.in_url({'limit': limit}),
        )
        connection = self._get_connection()
        return [
            pci_device.PciDeviceEvent.existing(connection=connection, **event)
            for event in response.json()['events']
        ]

    def pci_pools(self, **query: Any) -> Iterator[pci_pool.PciPool]:
        """List pools.

        :param query: ``host``, ``pci_flavor``, ``vendor_id``, ``product_id``,
            ``dev_type``, ``numa_node``, ``resource_type``, ``limit``,
            ``marker``.
        """
        return self._items(pci_pool.PciPool, query)

    def pci_hosts(self, **query: Any) -> Iterator[pci_host.PciHost]:
        """List hosts.

        :param query: ``host``, ``state``, ``limit``, ``marker``.
        """
        return self._items(pci_host.PciHost, query)

    def delete_pci_host(
        self, name: str, force: bool = False, reason: str | None = None
    ) -> None:
        """Forget a host that is down.

        :param force: even if instances hold devices of it; needs a reason.
        """
        query = {**_flags(force=force), **base.in_url({'reason': reason})}
        self.delete(f'/hosts/{base.id_of(name)}', params=query)

    def refusals(self, **query: Any) -> Iterator[refusal.Refusal]:
        """List refusals of Nova's scheduler, newest first.

        :param query: ``server``, ``pci_flavor``, ``since``, ``limit``,
            ``marker``.
        """
        return self._items(refusal.Refusal, query)

    def usages(self, **query: Any) -> Iterator[usage.Usage]:
        """List the devices that projects use, and their limits.

        :param query: ``project_id``, ``pci_flavor``, ``start`` and ``end`` of
            a period for device-seconds, ``limit``, ``marker``.
        """
        return self._items(usage.Usage, query)

    # HTTP

    @functools.cached_property
    def _served(self) -> versions.Served:
        endpoint = self.get_endpoint(skip_discovery=True)
        if not endpoint:
            raise exceptions.EndpointNotFound(
                f'there is no endpoint of a service of type '
                f'{self.service_type}'
            )
        return versions.served(self.session, endpoint)

    @functools.cached_property
    def microversion(self) -> str:
        """The microversion of the requests.

        :raises openstack.exceptions.NotSupported: there is none in common.
        """
        return versions.choose(self.default_microversion, self._served)

    def request(
        self, url: str, method: str, *args: Any, **kwargs: Any
    ) -> 'requests.Response':
        """Send a request and return the response.

        :raises errors.ServiceError: the response is an error.
        :raises errors.ServiceUnreachable: there is no response, or it is
            that of another program.
        """
        kwargs['microversion'] = (
            kwargs.get('microversion') or self.microversion
        )
        kwargs['endpoint_override'] = self._served.url
        try:
            response = super().request(url, method, *args, **kwargs)
        except keystone_exceptions.ConnectionError as error:
            raise errors.unanswered(error) from error
        if response.status_code >= 400:
            raise errors.from_response(response)
        if response.content and 'json' not in response.headers.get(
            'Content-Type', ''
        ):
            raise errors.ServiceUnreachable(
                f'{response.url} does not answer with JSON: it is not the '
                'PCI passthrough service, or a proxy before it is broken'
            )
        return response

    def _items(
        self, kind: type[_Resource], query: base.Query
    ) -> Iterator[_Resource]:
        # Not by ``_list``: it has a parameter ``resource_type`` of its own.
        return kind.list(self, **kind.check_query(query))

    def _patch_pci_flavor(
        self, flavor: PciFlavorOrName, attrs: base.Query, **flags: bool
    ) -> 'requests.Response':
        body, headers = dict(attrs), {}
        if 'generation' not in body:
            if isinstance(flavor, str):
                flavor = self.get_pci_flavor(flavor)
            body = flavor._body.dirty | body
            if flavor.etag:
                headers['If-Match'] = flavor.etag
            else:
                body['generation'] = flavor.generation
        return self.patch(
            _flavor(flavor), json=body, headers=headers, params=_flags(**flags)
        )

    def _act(
        self, device: PciDeviceOrName, body: base.Query
    ) -> pci_device.PciDevice:
        response = self.patch(
            self._device(device),
            json={k: v for k, v in body.items() if v is not None},
        )
        return pci_device.PciDevice.answered(self, response)

    def _device(self, device: PciDeviceOrName) -> str:
        """Return the path of a device."""
        if isinstance(device, str) and '/' in device:
            device = self.get_pci_device(device)
        return f'{pci_device.PciDevice.base_path}/{base.id_of(device)}'


def _flags(**flags: bool) -> base.Query:
    """Return those flags of a query that are set."""
    return {name: 'true' for name, value in flags.items() if value}


def _flavor(flavor: PciFlavorOrName) -> str:
    return f'{pci_flavor.PciFlavor.base_path}/{base.id_of(flavor)}'
