# SPDX-License-Identifier: Apache-2.0
"""Connects to a host's libvirt, lists node devices, calls back on changes.

The connection is read-only, which suffices for listing and events. Thus this
process cannot detach or reset a device by mistake, and ``qemu:///system``
uses the socket that needs no privilege.
"""

from collections.abc import Callable
import threading
import time
from typing import Any

import libvirt
from oslo_log import log

from pci_passthrough import exception
from pci_passthrough.discovery import node_device

LOG = log.getLogger(__name__)

#: Seconds between keepalive probes, and the number of probes that may remain
#: unanswered: the connection to a hanging libvirtd is closed after a little
#: more than 20 seconds.
KEEPALIVE_INTERVAL = 5
KEEPALIVE_COUNT = 3

#: Errors of a connection attempt that would be the same at the next attempt.
_CONFIGURATION_ERRORS = (
    libvirt.VIR_ERR_NO_CONNECT,
    libvirt.VIR_ERR_INVALID_ARG,
    libvirt.VIR_ERR_CONF_SYNTAX,
    libvirt.VIR_ERR_CONFIG_UNSUPPORTED,
    libvirt.VIR_ERR_XML_ERROR,
)

_LISTED = (
    libvirt.VIR_CONNECT_LIST_NODE_DEVICES_CAP_PCI_DEV
    | libvirt.VIR_CONNECT_LIST_NODE_DEVICES_CAP_NET
    | libvirt.VIR_CONNECT_LIST_NODE_DEVICES_CAP_VDPA
    | libvirt.VIR_CONNECT_LIST_NODE_DEVICES_CAP_MDEV
    | libvirt.VIR_CONNECT_LIST_NODE_DEVICES_CAP_USB_DEV
)

_EVENTS = (
    libvirt.VIR_NODE_DEVICE_EVENT_ID_LIFECYCLE,
    libvirt.VIR_NODE_DEVICE_EVENT_ID_UPDATE,
)

_event_loop_lock = threading.Lock()
_event_loop: threading.Thread | None = None


class LibvirtHost:
    """The connection to a host's libvirt. Thread-safe.

    The caller decides when to connect again after ``LibvirtUnavailable``.

    :param uri: libvirt connection URI, for example ``qemu:///system``.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri
        # Held only while connecting and closing, never during a callback:
        # libvirt calls back from its event loop's thread.
        self._lock = threading.Lock()
        self._connection: libvirt.virConnect | None = None
        #: ids of the callbacks that are registered with the connection
        self._callback_ids: list[int] = []
        self._watchers: list[Callable[[], None]] = []

    def connect(self) -> None:
        """Connect, unless the present connection is alive.

        Watchers are kept for each new connection. They are not called for
        changes before the connection: list the devices after connecting.

        :raises InvalidConfiguration: the URI can never work.
        :raises LibvirtUnavailable: libvirt does not answer now.
        """
        with self._lock:
            if self._connection is not None and _is_alive(self._connection):
                return
            self._close()
            _start_event_loop()
            try:
                connection = libvirt.openReadOnly(self.uri)
            except libvirt.libvirtError as error:
                if error.get_error_code() in _CONFIGURATION_ERRORS:
                    raise exception.InvalidConfiguration(
                        f'libvirt cannot connect to {self.uri!r}: {error}; '
                        'right would be, for example: qemu:///system'
                    ) from error
                raise self._unavailable(error) from error
            self._connection = connection
            try:
                self._prepare(connection)
            except libvirt.libvirtError as error:
                self._close()
                raise self._unavailable(error) from error

    def close(self) -> None:
        """Close the connection, if there is one."""
        with self._lock:
            self._close()

    def list_node_devices(self) -> list[str | node_device.Undescribed]:
        """Return the XML of PCI functions, of what is in them, and of USB.

        Node devices with a ``pci``, ``net``, ``vdpa``, ``mdev`` or
        ``usb_device`` capability are listed, except those that disappear
        during the call. A device that libvirt cannot describe has no XML.

        :raises LibvirtUnavailable: not connected, or the connection broke.
            An empty list always means that there are no such devices.
        """
        connection = self._connection
        if connection is None:
            raise exception.LibvirtUnavailable(self.uri, 'not connected')
        try:
            documents = [
                _readable(connection, device)
                for device in connection.listAllDevices(_LISTED)
            ]
        except libvirt.libvirtError as error:
            raise self._unavailable(error) from error
        return [document for document in documents if document is not None]

    def list_running_domains(self) -> list[str]:
        """Return the XML of all domains that run or are paused.

        :raises LibvirtUnavailable: not connected, the connection broke, or a
            domain cannot be described.
        """
        connection = self._connection
        if connection is None:
            raise exception.LibvirtUnavailable(self.uri, 'not connected')
        documents = []
        try:
            for domain in connection.listAllDomains(
                libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE
            ):
                try:
                    documents.append(str(domain.XMLDesc(0)))
                except libvirt.libvirtError as error:
                    if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
                        raise
        except libvirt.libvirtError as error:
            raise self._unavailable(error) from error
        return documents

    def watch(self, on_change: Callable[[], None]) -> None:
        """Register a function to call when the devices should be listed.

        The function is called when a device appeared, disappeared or was
        updated, and when the connection broke (the next listing raises).
        libvirt has no event for a change of a PCI device's driver, but most
        such changes create or remove a network interface, which has events.
        A libvirt without node-device events never calls, and a restart of
        ``virtnodedevd`` behind ``virtqemud`` may lose events. So callers
        must also list periodically.

        :param on_change: called in libvirt's event thread, once for each
            event; it must return at once and must not raise, for example
            set a ``threading.Event``.
        """
        self._watchers.append(on_change)

    def _prepare(self, connection: libvirt.virConnect) -> None:
        """Enable keepalive and register callbacks on a new connection.

        One callback serves all watchers: libvirt does not distinguish
        callbacks from Python and refuses a second one for the same event.
        """
        _call_if_supported(
            connection.registerCloseCallback, self._on_closed, None
        )
        _call_if_supported(
            connection.setKeepAlive, KEEPALIVE_INTERVAL, KEEPALIVE_COUNT
        )
        for event in _EVENTS:
            callback_id = _call_if_supported(
                connection.nodeDeviceEventRegisterAny,
                None,
                event,
                self._on_event,
                None,
            )
            if callback_id is not None:
                self._callback_ids.append(callback_id)

    def _on_event(self, *_details: Any) -> None:
        for on_change in tuple(self._watchers):
            on_change()

    def _on_closed(
        self, connection: libvirt.virConnect, reason: int, opaque: None
    ) -> None:
        LOG.warning(
            'Lost the connection to libvirt at %s (reason %s); the next scan '
            'connects again',
            self.uri,
            reason,
        )
        self._on_event()

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        callback_ids, self._callback_ids = self._callback_ids, []
        if connection is None:
            return
        # A registered callback holds a reference to the connection, so that
        # close() would leave the socket open. Some of these calls fail if
        # the connection is broken.
        for method, arguments in (
            *(
                (connection.nodeDeviceEventDeregisterAny, (callback_id,))
                for callback_id in callback_ids
            ),
            (connection.unregisterCloseCallback, ()),
            (connection.close, ()),
        ):
            try:
                method(*arguments)
            except libvirt.libvirtError as error:
                LOG.debug(
                    'Ignoring an error while closing the connection to '
                    'libvirt at %s: %s',
                    self.uri,
                    error,
                )

    def _unavailable(
        self, error: libvirt.libvirtError
    ) -> exception.LibvirtUnavailable:
        return exception.LibvirtUnavailable(self.uri, str(error))


def _readable(
    connection: libvirt.virConnect, device: libvirt.virNodeDevice
) -> str | node_device.Undescribed | None:
    """Return a device's XML; None if it has disappeared, or has an odd name.

    :raises libvirtError: the connection broke.
    """
    try:
        return _describe(connection, device)
    except UnicodeDecodeError as error:
        LOG.warning(
            'Ignoring a node device that libvirt cannot describe: its name '
            'is not UTF-8: %r',
            error.object,
        )
        return None


def _describe(
    connection: libvirt.virConnect, device: libvirt.virNodeDevice
) -> str | node_device.Undescribed | None:
    """Return a device's XML, None if the device has disappeared.

    libvirt reads links and attributes for each description. If the device
    disappears at this moment, any kind of error is possible. Therefore the
    device is looked up again after an error.

    :raises libvirtError: the connection broke.
    :raises UnicodeDecodeError: libvirt cannot describe the device, and its
        name is not UTF-8.
    """
    try:
        return _xml(device)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_NODE_DEVICE:
            return None
        LOG.debug(
            'Could not describe node device %s: %s. Looking it up again',
            device.name(),
            error,
        )
    try:
        return _xml(connection.nodeDeviceLookupByName(device.name()))
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_NODE_DEVICE:
            return None
        if not _is_alive(connection):
            raise
        return node_device.Undescribed(device.name(), str(error))


def _xml(device: libvirt.virNodeDevice) -> str:
    """Return a device's XML, with a replacement for what is not UTF-8.

    The vital product data of a card, for example, may have any bytes.

    :raises libvirtError: the device has no description.
    """
    try:
        return str(device.XMLDesc(0))
    except UnicodeDecodeError as error:
        LOG.debug('Replacing what is not UTF-8 in %r', error.object)
        return error.object.decode(errors='replace')


def _is_alive(connection: libvirt.virConnect) -> bool:
    try:
        return bool(connection.isAlive())
    except libvirt.libvirtError:
        return False


def _call_if_supported(
    method: Callable[..., Any], *arguments: Any
) -> int | None:
    """Call a method that some of libvirt's drivers do not support.

    :returns: the method's result, None if the driver does not support it.
    """
    try:
        return int(method(*arguments))
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_SUPPORT:
            raise
        return None


def _start_event_loop() -> None:
    """Start libvirt's default event loop, once in this process.

    The event loop must be registered before the first connection is opened:
    events, keepalive and the close callback do not work on a connection from
    before.
    """
    global _event_loop
    with _event_loop_lock:
        if _event_loop is not None:
            return
        # Without a handler libvirt prints every error to stderr, including
        # expected errors.
        libvirt.registerErrorHandler(_log_error, None)
        libvirt.virEventRegisterDefaultImpl()
        _event_loop = threading.Thread(
            target=_run_event_loop, name='libvirt-events', daemon=True
        )
        _event_loop.start()


def _run_event_loop() -> None:
    while True:
        try:
            libvirt.virEventRunDefaultImpl()
        except libvirt.libvirtError as error:
            LOG.error(
                "libvirt's event loop failed: %s. Running it again in one "
                'second',
                error,
            )
            # The pause avoids a busy loop while the error persists; it only
            # delays events.
            time.sleep(1)


def _log_error(opaque: None, error: Any) -> None:
    LOG.debug('libvirt reported an error: %s', error)
