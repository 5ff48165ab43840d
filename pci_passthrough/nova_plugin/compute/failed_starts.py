# SPDX-License-Identifier: Apache-2.0
"""Tells the conductor how starts of guests with devices went.

A device with which no guest starts is chosen last, and quarantined at some
time. A guest that starts makes its devices good again.
"""

from collections.abc import Callable
import functools
import inspect
from typing import Any

from oslo_log import log as logging

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough import rpc
from pci_passthrough.nova_plugin import client
from pci_passthrough.nova_plugin.compat import driver as virt_driver
from pci_passthrough.nova_plugin.compute import holders
from pci_passthrough.rpc import older_conductors

LOG = logging.getLogger(__name__)


def is_of_libvirt(error: BaseException) -> bool:
    """Whether libvirt, and not Nova or Neutron, could not start a guest.

    By its name: nova-compute imports libvirt only when it connects to it.
    """
    return any(
        type_.__name__ == 'libvirtError' for type_ in type(error).__mro__
    )


def is_doubted(device: objects.PciDevice) -> bool:
    """Whether guests could not be started with a device before."""
    return bool(
        device.get('failed_starts', 0)
        or device.get('start_failed_for') is not None
    )


def tell(host: str, call: Callable[[rpc.ConductorClient, str], None]) -> None:
    """Tell the conductor how a start went; log that it cannot be told.

    A conductor of an earlier release does not want to know.
    """
    try:
        older_conductors.answer_or(
            None, lambda: call(client.conductor(), f'nova-compute/{host}')
        )
    except exception.PciPassthroughError as error:
        LOG.warning(
            'Could not tell the conductor how the start of a guest went: %s. '
            'Its devices are chosen as before',
            error,
        )


def wrap_live_migration(original: Callable[..., Any]) -> Callable[..., Any]:
    """Replace ``LibvirtDriver._live_migration_operation``.

    Nova calls it on the source, in a thread of its own; it returns when the
    guest has moved. If QEMU cannot start at the destination, its error gets
    here. A live migration fails for other reasons, too, so the conductor is
    told only if the error names a device that the instance has over there.
    """
    signature = inspect.signature(original)

    @functools.wraps(original)
    def _live_migration_operation(*args: Any, **kwargs: Any) -> Any:
        try:
            return original(*args, **kwargs)
        except Exception as error:
            given = signature.bind(*args, **kwargs).arguments
            driver, instance = given['self'], given['instance']
            if is_of_libvirt(error) and _has_devices(driver, instance):
                text, dest = str(error), given['dest']
                tell(
                    str(virt_driver.host_of(driver)),
                    lambda conductor, actor: _blame_named(
                        conductor, dest, instance.uuid, text, actor
                    ),
                )
            raise

    return _live_migration_operation


def _has_devices(driver: Any, instance: Any) -> bool:
    resource_tracker = virt_driver.resource_tracker_of(driver)
    return resource_tracker is not None and bool(
        holders.holds_devices(resource_tracker, instance)
    )


def _blame_named(
    conductor: rpc.ConductorClient,
    host: str,
    instance_uuid: str,
    text: str,
    actor: str,
) -> None:
    """Record a failed start if its error names a device of the instance.

    :param host: the destination of a live migration.
    """
    if any(
        device.instance_uuid == instance_uuid and device.is_named_in(text)
        for device in conductor.host_devices(host)
    ):
        conductor.start_failed(host, instance_uuid, text, actor)
