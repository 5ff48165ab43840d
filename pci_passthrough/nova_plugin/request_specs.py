# SPDX-License-Identifier: Apache-2.0
"""Rebuilds the scheduler's requests of an instance before it moves.

Nova stores what it has last scheduled an instance by, its request spec. After
a resize that was reverted or has failed, the stored requests are those of the
other flavor; after a port was deleted, they still have its NIC. nova-conductor
uses the spec again for the next move. Its part for PCI flavors is rebuilt
then, so specs that are wrong already become right, too.
"""

from collections.abc import Callable
from collections.abc import Collection
import functools
from typing import Any

from oslo_log import log as logging

from pci_passthrough import exception
from pci_passthrough.nova_plugin import flavor_requests
from pci_passthrough.nova_plugin import needs
from pci_passthrough.nova_plugin import requests
from pci_passthrough.nova_plugin.compat import network as nova_network
from pci_passthrough.nova_plugin.compat import scheduling
from pci_passthrough.nova_plugin.compute import attachment

LOG = logging.getLogger(__name__)


def wrap_ensure_network_information(
    original: Callable[..., Any],
) -> Callable[..., Any]:
    """Replace ``RequestSpec.ensure_network_information``.

    nova-conductor calls it for each cold or live migration, resize,
    evacuation and unshelve, before it calls the scheduler. Nova rebuilds the
    networks of the spec in it. The replacement rebuilds the requests for PCI
    flavors.
    """

    @functools.wraps(original)
    def ensure_network_information(spec: Any, instance: Any) -> None:
        original(spec, instance)
        if _asks(spec, instance) and not scheduling.request_is_rebuild(spec):
            try:
                rebuild(spec, instance)
            except exception.PciPassthroughError as error:
                LOG.error(
                    'Could not rebuild the requests for PCI flavors of '
                    'instance %(uuid)s: %(error)s. Its host is chosen by the '
                    'stored ones',
                    {'uuid': instance.uuid, 'error': error.text},
                )

    return ensure_network_information


def _asks(spec: Any, instance: Any) -> bool:
    """Whether a spec or an instance asks for PCI flavors.

    The flavor of an instance that is unshelved is not loaded yet. Nova loads
    it later in the same call; without it, an instance whose spec is that of
    another flavor would lose its devices.
    """
    return requests.ask_for_pci_flavors((spec,), (spec, instance)) or (
        scheduling.is_unshelving(instance)
        and requests.asks_for_pci_flavors(instance.flavor)
    )


def rebuild(spec: Any, instance: Any) -> None:
    """Rebuild the requests for PCI flavors of a spec.

    :param spec: Nova's ``RequestSpec``.
    :param instance: Nova's instance. NICs whose ports are gone are removed
        from its requests, too, which its next host claims devices by.
    :raises: PciPassthroughError
    """
    held = instance.pci_requests and instance.pci_requests.requests
    nics = nics_of(instance, held)
    stored = requests.for_pci_flavors(
        spec.pci_requests and spec.pci_requests.requests
    )
    make: needs.Make | None = functools.partial(
        flavor_requests.make_for_existing, image=instance.image_meta
    )
    if scheduling.is_resize(spec, instance):
        # nova-api has just made the stored requests from the new flavor.
        wanted = needs.of_flavor(spec.flavor, stored, make)
        own = requests.of_flavor(held)
    else:
        if scheduling.is_live_migration(instance):
            make = None
        wanted = own = needs.of_flavor(instance.flavor, held, make)
        _set_flavor(spec, instance, stored, wanted)
    if not needs.ask_alike(stored, [*wanted, *nics]):
        LOG.info(
            'Rebuilding the requests for PCI flavors of instance %(uuid)s: '
            '%(wanted)s instead of %(stored)s',
            {
                'uuid': instance.uuid,
                'wanted': requests.describe([*wanted, *nics]) or 'none',
                'stored': requests.describe(stored) or 'none',
            },
        )
        spec.pci_requests = replaced(spec, instance.uuid, [*wanted, *nics])
    if not needs.ask_alike(requests.for_pci_flavors(held), [*own, *nics]):
        instance.pci_requests = replaced(
            instance, instance.uuid, [*own, *nics]
        )
        instance.save()


def nics_of(instance: Any, held: Collection[Any] | None) -> list[Any]:
    """Return the requests of the NICs that an instance still has.

    :param held: all requests of the instance.
    """
    return needs.of_nics(held, _ports_of(instance, held), _in_use(instance))


def _set_flavor(
    spec: Any, instance: Any, stored: list[Any], wanted: list[Any]
) -> None:
    """Set the flavor of a spec for a move that is no resize.

    :param stored: the requests for PCI flavors of the spec.
    :param wanted: those that the instance's flavor gets.
    """
    if spec.flavor.id != instance.flavor.id or not needs.ask_alike(
        requests.of_flavor(stored), wanted
    ):
        # As Nova does when a resize is reverted, and not when it fails.
        scheduling.set_flavor(spec, instance)
    if not wanted:
        # The guest may run without the devices of its flavor. nova-scheduler
        # would look for them.
        spec.flavor = requests.without_pci_flavors(spec.flavor)


def replaced(
    owner: Any, instance_uuid: str, for_pci_flavors: Collection[Any]
) -> Any:
    """Return the requests of a spec or an instance, with our part replaced."""
    before = owner.pci_requests and owner.pci_requests.requests
    return scheduling.InstancePCIRequests(
        instance_uuid=instance_uuid,
        requests=[*requests.native(before), *for_pci_flavors],
    )


def _ports_of(instance: Any, held: Any) -> set[str] | None:
    """Return the ids of the instance's ports in Neutron.

    :returns: None if the instance has no NIC of a PCI flavor, or Neutron does
        not answer.
    """
    if not needs.of_nics(held, None):
        return None
    try:
        ports = nova_network.admin_client(instance._context).list_ports(
            device_id=instance.uuid, fields=['id']
        )
    except nova_network.NeutronException as error:
        LOG.warning(
            'Cannot ask Neutron which ports instance %(uuid)s has: %(error)s. '
            'All its NICs count',
            {'uuid': instance.uuid, 'error': error},
        )
        return None
    return {port['id'] for port in ports['ports']}


def _in_use(instance: Any) -> set[str]:
    """Return the ids of the requests whose devices the instance has.

    A guest may keep the device of a port that was deleted.
    """
    return {
        str(row.request_id)
        for row in instance.pci_devices or ()
        if attachment.is_attachment(row)
    }
