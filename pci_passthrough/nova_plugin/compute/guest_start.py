# SPDX-License-Identifier: Apache-2.0
"""Checks the devices of a guest before its start, and reports how it went.

Nova gives a guest the devices at the addresses of its rows. After a card was
added, other hardware may be at these addresses: that of another tenant, for
example. So nova-compute asks the conductor before libvirt gets the addresses.
If no conductor answers, the conflicts of its last answer still count; whoever
held a device then may have given it back. And whatever the conductor says, the
host itself must offer the devices now (``own_verdict``).

If libvirt cannot start the guest, or VFIO could not open one of its devices
(``vfio_nodes``), the conductor is told why: a device with which no guest
starts must not be the first choice for the next instance.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
import functools
import inspect
import time
from typing import Any

from oslo_log import log as logging

from pci_passthrough import exception
from pci_passthrough import objects
from pci_passthrough.nova_plugin import client
from pci_passthrough.nova_plugin import loaded
from pci_passthrough.nova_plugin import requests
from pci_passthrough.nova_plugin.compat import driver as virt_driver
from pci_passthrough.nova_plugin.compat import errors
from pci_passthrough.nova_plugin.compute import attachment
from pci_passthrough.nova_plugin.compute import device_places
from pci_passthrough.nova_plugin.compute import failed_starts
from pci_passthrough.nova_plugin.compute import guest_devices
from pci_passthrough.nova_plugin.compute import holders
from pci_passthrough.nova_plugin.compute import nic_ports
from pci_passthrough.nova_plugin.compute import own_verdict
from pci_passthrough.nova_plugin.compute import vfio_nodes
from pci_passthrough.nova_plugin.install import bootstrap
from pci_passthrough.objects import fields

LOG = logging.getLogger(__name__)

#: Seconds after a call without answer in which no other call is made: when a
#: host boots, Nova starts all of its guests, and each would wait.
_PAUSE = 30.0

#: Projects see this text in the fault of an instance. The log has addresses.
_NOT_OPENED = (
    'a PCI device of the instance cannot be opened; an operator has to '
    'resolve that'
)

#: The root directory of nova-compute's host.
_ROOT = '/'


class DeviceCannotBeOpened(errors.NovaException):
    """VFIO could not open a device of an instance.

    Its text is for operators, as libvirt's would be.
    """

    msg_fmt = '%(reasons)s'

    def format_message(self) -> str:
        """Return the text for projects."""
        return _NOT_OPENED


class _KnownDevices:
    """The last answers of the conductor about hosts of this process."""

    def __init__(self) -> None:
        self._answers: dict[str, Sequence[objects.PciDevice]] = {}
        self._silent_until = 0.0

    def of(self, host: str) -> tuple[Sequence[objects.PciDevice] | None, bool]:
        """Return a host's offered or held devices, and whether that is new.

        :returns: None if the conductor has never answered.
        """
        is_new = False
        if time.monotonic() >= self._silent_until:
            try:
                self._answers[host] = client.conductor().host_devices(host)
            except exception.PciPassthroughError as error:
                self._silent_until = time.monotonic() + _PAUSE
                LOG.warning(
                    'Could not ask the conductor whether the devices of a '
                    'guest are in their places: %s. Only conflicts of its '
                    'last answer count',
                    error,
                )
            else:
                self._silent_until = 0.0
                is_new = True
        return self._answers.get(host), is_new


_known = _KnownDevices()


def wrap_start(original: Callable[..., Any]) -> Callable[..., Any]:
    """Replace a method of LibvirtDriver that starts a guest.

    Nova calls it for a new instance, a rebuild, a start, a hard reboot, a
    resume, a rescue and its end, a resize and a cold migration, the reversion
    of one, and when the host has booted.
    """
    signature = inspect.signature(original)

    @functools.wraps(original)
    def start(*args: Any, **kwargs: Any) -> Any:
        given = signature.bind(*args, **kwargs).arguments
        driver, instance = given['self'], given['instance']
        rows = _attachments_of(driver, instance)
        if not rows and not guest_devices.may_have(driver, instance):
            return original(*args, **kwargs)
        # Not the instance's host: an evacuated one has its former host.
        host = virt_driver.host_of(driver) or _configured_host()
        answer, is_new = _known.of(host)
        others = guest_devices.of_guest(driver, instance, answer, is_new)
        rows = _of_this_host(driver, _without_former(instance, rows, others))
        held = [*rows, *others]
        devices = check(instance, held, answer or (), is_new)
        device_places.refuse_for(
            instance, own_verdict.reasons_against(host, held, is_patient=True)
        )
        if devices:
            reasons = nic_ports.follow(
                driver,
                given['context'],
                instance,
                given.get('network_info'),
                rows,
                devices,
            )
            device_places.refuse_for(instance, reasons)
        with guest_devices.given_to(instance, others, answer):
            if not given.get('power_on', True):
                return original(*args, **kwargs)
            try:
                _check_openable(instance, rows)
                result = original(*args, **kwargs)
            except Exception as error:
                _tell_failure(host, instance, devices, error)
                raise
        nic_ports.record(instance, given.get('network_info'), rows)
        if any(map(failed_starts.is_doubted, devices)):
            failed_starts.tell(
                host,
                lambda conductor, actor: conductor.guest_started(
                    host, instance.uuid, actor
                ),
            )
        return result

    return start


def _tell_failure(
    host: str,
    instance: Any,
    devices: Sequence[objects.PciDevice],
    error: Exception,
) -> None:
    """Tell the conductor that a guest did not start, if devices may be why.

    :param devices: those of the instance, as the conductor knows them.
    :raises DeviceNotInPlace: one of them is missing on the host.
    """
    text = str(error)
    if devices and _blames_devices(error):
        failed_starts.tell(
            host,
            lambda conductor, actor: conductor.start_failed(
                host, instance.uuid, text, actor
            ),
        )
    if failed_starts.is_of_libvirt(error):
        device_places.refuse_for(
            instance, device_places.missing(devices), error
        )


def _check_openable(instance: Any, rows: Sequence[Any]) -> None:
    """Check that VFIO can open the devices of an instance.

    :raises DeviceCannotBeOpened: it surely cannot.
    """
    pci_requests = getattr(instance.pci_requests, 'requests', ())
    macvtap = {
        request.request_id
        for request in requests.for_pci_flavors(pci_requests)
        if (nic := requests.nic_of(request))
        and nic.vnic_type == fields.VnicType.MACVTAP
    }
    reasons = vfio_nodes.reasons(
        _ROOT,
        instance.uuid,
        [row.address for row in rows if row.request_id not in macvtap],
    )
    if reasons:
        text = '; '.join(reasons)
        LOG.error(
            'Not starting the guest of instance %s: %s', instance.uuid, text
        )
        raise DeviceCannotBeOpened(reasons=text)


def _blames_devices(error: BaseException) -> bool:
    """Whether an error may be the fault of a device.

    Errors of Nova and Neutron are not.
    """
    return isinstance(
        error, DeviceCannotBeOpened
    ) or failed_starts.is_of_libvirt(error)


def _configured_host() -> str:
    return str(bootstrap.nova_conf().host)


def _attachments_of(driver: Any, instance: Any) -> list[Any]:
    """Return Nova's rows of an instance's devices of PCI flavors.

    If they are not loaded, they are read only for an instance that holds
    such devices on this host, and before nova-compute knows that: when it
    starts guests at its own start. Nova's driver reads them then, too. In
    another program than nova-compute no instance has such devices.
    """
    rows = loaded.attribute(instance, 'pci_devices')
    if rows is None:
        resource_tracker = virt_driver.resource_tracker_of(driver)
        if resource_tracker is None or (
            holders.holds_devices(resource_tracker, instance) is False
        ):
            return []
        rows = instance.pci_devices
    return [row for row in rows or () if attachment.is_attachment(row)]


def _of_this_host(driver: Any, rows: list[Any]) -> list[Any]:
    """Return the rows of this host's devices.

    An evacuated instance also has those of its former host until that comes
    back. Their addresses are other devices here.
    """
    resource_tracker = virt_driver.resource_tracker_of(driver)
    pci_tracker = getattr(resource_tracker, 'pci_tracker', None)
    if pci_tracker is None:
        return rows
    return [row for row in rows if row.compute_node_id == pci_tracker.node_id]


def _without_former(
    instance: Any, rows: list[Any], others: Iterable[objects.PciDevice]
) -> list[Any]:
    """Drop devices from an instance's list that it had on another host.

    After an evacuation, its former host frees them when it comes back; after
    a resize that failed, a periodic task does. Nova's driver fails for a
    device whose request the instance does not have any more.

    :param others: its devices without rows, on this host.
    :returns: the remaining rows of devices of PCI flavors.
    """
    pci_requests = getattr(instance.pci_requests, 'requests', ())
    wanted = {request.request_id for request in pci_requests}
    ours = {
        request.request_id
        for request in requests.for_pci_flavors(pci_requests)
    }
    kept = [row for row in rows if row.request_id in wanted]
    served = {row.request_id for row in kept} | {
        attachment.request_of(str(device.request_id)) for device in others
    }
    if len(kept) == len(rows) or ours - served:
        # Without rows for all requests, nothing is certain.
        return rows
    former = {row.id for row in rows} - {row.id for row in kept}
    listed = instance.pci_devices
    # An assignment to a slice does not mark the object as changed.
    listed.objects[:] = [row for row in listed if row.id not in former]
    return kept


def check(
    instance: Any,
    held: Sequence[Any],
    devices: Sequence[objects.PciDevice],
    is_new: bool,
) -> Sequence[objects.PciDevice]:
    """Check that the devices of an instance are in their places.

    :param instance: Nova's instance.
    :param held: its devices of PCI flavors: Nova's rows, and the others.
    :param devices: the devices of the host on which its guest is to start, by
        the conductor's last answer.
    :param is_new: whether it has answered just now.
    :returns: the instance's devices, as the conductor knows them now; none if
        no conductor answers.
    :raises DeviceNotInPlace: one is not.
    """
    if not is_new:
        devices = [d for d in devices if d.get('conflict') is not None]
    device_places.refuse_for(
        instance,
        device_places.reasons_not_in_place(instance.uuid, held, devices),
    )
    return [d for d in devices if d.instance_uuid == instance.uuid]
