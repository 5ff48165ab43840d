# SPDX-License-Identifier: Apache-2.0
"""Gives devices without rows of Nova to a guest, in its domain's XML.

Nova's libvirt driver makes the XML of PCI functions from its rows. For a
device of another resource type, that type makes the element
(``resource_types``), from the host's state at this moment.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import dataclasses
import functools
import inspect
import threading
from typing import Any

from pci_passthrough import objects
from pci_passthrough import resource_types
from pci_passthrough.nova_plugin import loaded
from pci_passthrough.nova_plugin import requests
from pci_passthrough.nova_plugin.compat import driver as virt_driver
from pci_passthrough.nova_plugin.compat import guest_config
from pci_passthrough.nova_plugin.compute import attachment
from pci_passthrough.nova_plugin.compute import device_places
from pci_passthrough.nova_plugin.compute import first_minute
from pci_passthrough.nova_plugin.compute import holders
from pci_passthrough.nova_plugin.compute import rowless

#: The root directory of nova-compute's host.
_ROOT = '/'


@dataclasses.dataclass(frozen=True)
class _Start:
    """A guest that a thread is starting.

    :ivar devices: those that it gets.
    :ivar addresses: of all devices without rows on the host.
    """

    instance: Any
    devices: Sequence[objects.PciDevice]
    addresses: frozenset[str]


class _Thread(threading.local):
    start: _Start | None = None


_thread = _Thread()


def may_have(driver: Any, instance: Any) -> bool:
    """Whether an instance may have devices without rows on this host.

    The requests of the instance are read only before nova-compute knows all
    devices: when it starts guests at its own start, or without a conductor.
    """
    resource_tracker = virt_driver.resource_tracker_of(driver)
    if resource_tracker is None:
        return False
    held = holders.rowless_of(resource_tracker, instance)
    return bool(_wanted(instance) if held is None else held)


def of_guest(
    driver: Any,
    instance: Any,
    answer: Sequence[objects.PciDevice] | None,
    is_new: bool,
) -> list[objects.PciDevice]:
    """Return the devices without rows that an instance has on this host.

    During a resize within the host it also has those of the other flavor: its
    requests tell which its guest gets.

    :param answer: all devices of the host, by the conductor's last answer;
        None if it has never answered.
    :param is_new: whether it has answered just now.
    :raises DeviceNotInPlace: the instance may have such devices, and they are
        not known.
    """
    remembered = holders.rowless_of(
        virt_driver.resource_tracker_of(driver), instance
    )
    if remembered is None and answer is None:
        device_places.refuse_for(instance, _lacking(instance))
    by_address = {device.address: device for device in remembered or ()}
    if is_new or remembered is None:
        by_address |= {device.address: device for device in answer or ()}
    wanted = {request.request_id for request in _wanted(instance)}
    return [
        device
        for device in by_address.values()
        if rowless.is_rowless(device)
        and device.instance_uuid == instance.uuid
        and attachment.request_of(str(device.request_id)) in wanted
    ]


def _wanted(instance: Any) -> list[Any]:
    """Return the requests of an instance for PCI flavors."""
    return requests.for_pci_flavors(
        getattr(instance.pci_requests, 'requests', ())
    )


def _lacking(instance: Any) -> Iterator[str]:
    """Yield the requests that Nova's rows do not serve."""
    served = [row.request_id for row in instance.pci_devices or ()]
    for request in _wanted(instance):
        if served.count(request.request_id) < request.count:
            yield (
                f'its devices for {request.alias_name} are not known, because '
                'no pci-passthrough-conductor has answered since nova-compute '
                'started'
            )


@contextlib.contextmanager
def given_to(
    instance: Any,
    devices: Sequence[objects.PciDevice],
    answer: Iterable[objects.PciDevice] | None,
) -> Iterator[None]:
    """Let the guest that this thread starts get some devices.

    :param answer: as for ``of_guest``.
    :raises DeviceNotInPlace: a device is not there.
    """
    # Nova ends a running guest before it makes the new XML.
    _elements(instance, devices)
    addresses = frozenset(
        str(device.address)
        for device in (*devices, *(answer or ()))
        if rowless.is_rowless(device)
    )
    before = _thread.start
    _thread.start = _Start(instance, devices, addresses)
    try:
        yield
    finally:
        _thread.start = before


def wrap_get_guest_config(original: Callable[..., Any]) -> Callable[..., Any]:
    """Replace ``LibvirtDriver._get_guest_config``.

    Nova calls it for the XML of a domain that it is going to define. For a
    domain that exists it first collects the mediated devices: those of PCI
    flavors are left out there, because the guest may have others now.
    """
    signature = inspect.signature(original)

    @functools.wraps(original)
    def _get_guest_config(*args: Any, **kwargs: Any) -> Any:
        start = _thread.start
        given = signature.bind(*args, **kwargs)
        arguments = given.arguments
        if start is None or start.instance.uuid != loaded.attribute(
            arguments['instance'], 'uuid'
        ):
            return original(*args, **kwargs)
        if arguments.get('mdevs'):
            arguments['mdevs'] = [
                uuid
                for uuid in arguments['mdevs']
                if uuid not in start.addresses
            ]
        guest = original(*given.args, **given.kwargs)
        guest_config.add(guest, _elements(start.instance, start.devices))
        return guest

    return _get_guest_config


def _elements(
    instance: Any, devices: Iterable[objects.PciDevice]
) -> list[guest_config.Element]:
    """Return the elements that give devices to a guest.

    :raises DeviceNotInPlace: a device is not there.
    """
    elements = []
    for device in devices:
        try:
            xml = _xml(device)
            if xml is not None:
                elements.append(guest_config.Element(xml))
        except (resource_types.ResourceTypeError, ValueError) as error:
            device_places.refuse_for(
                instance, [f'{device.address}: {error}'], error
            )
    return elements


def _xml(device: objects.PciDevice) -> str | None:
    resource_type = resource_types.load().get(device.resource_type)
    if resource_type is None:
        raise resource_types.ResourceTypeError(
            f'nova-compute has no resource type {device.resource_type}'
        )
    return first_minute.patiently(
        lambda: resource_type.guest_device(device, _ROOT),
        resource_types.NotThereYet,
    )
