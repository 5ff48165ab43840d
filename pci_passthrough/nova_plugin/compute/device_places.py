# SPDX-License-Identifier: Apache-2.0
"""Tells why devices of an instance cannot be given to its guest."""

from collections.abc import Iterable
from collections.abc import Iterator
from typing import Any

from oslo_log import log as logging

from pci_passthrough import objects
from pci_passthrough.nova_plugin.compat import errors
from pci_passthrough.objects import fields

LOG = logging.getLogger(__name__)

#: Projects see this text in the fault of an instance. The log has addresses.
_REFUSED = (
    'a device of the instance is not at its place in the host any more; '
    'an operator has to resolve that'
)


class DeviceNotInPlace(errors.NovaException):
    """A device of an instance is in conflict, or has moved."""

    msg_fmt = _REFUSED


def missing(devices: Iterable[objects.PciDevice]) -> Iterator[str]:
    """Yield the devices of a guest that the host does not have any more.

    Only after libvirt has failed: it knows better than the last report.
    """
    for device in devices:
        if device.presence == fields.Presence.MISSING:
            yield (
                f'{device.host} does not have {device.address} any more; see '
                '"openstack pci device resolve"'
            )


def refuse_for(
    instance: Any,
    reasons: Iterable[str],
    error: BaseException | None = None,
) -> None:
    """Log reasons not to start a guest.

    :param error: why libvirt has not started it.
    :raises DeviceNotInPlace: there are any.
    """
    text = '; '.join(reasons)
    if text:
        LOG.error(
            'Not starting the guest of instance %s: %s', instance.uuid, text
        )
        raise DeviceNotInPlace from error


def reasons_not_in_place(
    instance_uuid: str,
    rows: Iterable[Any],
    devices: Iterable[objects.PciDevice],
) -> Iterator[str]:
    """Yield why devices of an instance cannot be given to its guest. Pure.

    What the conductor does not know is no reason: a repair is to come.

    :param rows: Nova's rows of the instance's devices of PCI flavors, and its
        devices without rows.
    :param devices: the devices of the host, as the conductor knows them.
    """
    by_address = {device.address: device for device in devices}
    rows = list(rows)
    addresses = {row.address for row in rows}
    moved = {
        (device.vendor_id, device.product_id): device
        for device in by_address.values()
        if device.instance_uuid == instance_uuid
        and device.address not in addresses
    }
    for row in rows:
        device = by_address.get(row.address)
        kind = (row.vendor_id, row.product_id)
        if device is not None and device.instance_uuid == instance_uuid:
            if device.get('conflict') is not None:
                yield f'{row.address} is in conflict: {device.conflict}'
        elif kind in moved:
            yield (
                f'{row.address} has moved to {moved[kind].address}; the next '
                'periodic task of nova-compute follows it'
            )
        elif device is not None and device.instance_uuid is not None:
            yield f'instance {device.instance_uuid} holds {row.address}'
        elif device is not None and kind != (
            device.vendor_id,
            device.product_id,
        ):
            yield (
                f'{device.vendor_id}:{device.product_id} is at {row.address}, '
                f'instead of {row.vendor_id}:{row.product_id}'
            )
