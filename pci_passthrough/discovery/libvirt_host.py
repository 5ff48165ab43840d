# SPDX-License-Identifier: Apache-2.0
"""The connection to a host's libvirt: lists node devices, tells of changes.

The connection is read-only. That is enough for listing and for events, and
it means that nothing in this process can detach or reset a device by
mistake. For ``qemu:///system`` it also means the socket which needs no
privilege.
"""

from collections.abc import Callable
import threading
import time
from typing import Any

import libvirt
from oslo_log import log

from pci_passthrough import exception

LOG = log.getLogger(__name__)

#: Seconds between keepalive probes, and how many may go unanswered. A
#: libvirtd that hangs is given up after a bit more than 20 seconds.
KEEPALIVE_INTERVAL = 5
KEEPALIVE_COUNT = 3

#: Errors at connecting that waiting cannot cure.
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
)

_EVENTS = (
    libvirt.VIR_NODE_DEVICE_EVENT_ID_LIFECYCLE,
    libvirt.VIR_NODE_DEVICE_EVENT_ID_UPDATE,
)

_event_loop_lock = threading.Lock()
_event_loop: threading.Thread | None = None


class LibvirtHost:
    """A host's libvirt, as far as its PCI devices go. Thread-safe.

    When to connect again after an ``Unavailable`` is the caller's decision.

    :param uri: libvirt connection URI, for example ``qemu:///system``.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri
        # Held while connecting and closing only, never around a callback:
        # libvirt calls back from its event loop's thread.
        self._lock = threading.Lock()
        self._connection: libvirt.virConnect | None = None
        #: numbers of the connection's callbacks
        self._registered: list[int] = []
        self._watchers: list[Callable[[], None]] = []

    def connect(self) -> None:
        """Connect, or do nothing while a connection is alive.

        Watchers stay for each new connection. Changes from before it are
        not told: list after connecting.

        :raises InvalidConfiguration: no such connection can ever be made.
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
        """Close the connection; nothing happens if there is none."""
        with self._lock:
            self._close()

    def list_node_devices(self) -> list[str]:
        """Return the XML of all node devices that describe PCI functions.

        These are the devices with a ``pci``, ``net`` or ``vdpa`` capability.
        One that vanishes while the list is read is left out.

        :raises LibvirtUnavailable: not connected, or the connection broke:
            never an empty list instead.
        """
        connection = self._connection
        if connection is None:
            raise exception.LibvirtUnavailable(self.uri, 'not connected')
        try:
            documents = [
                _describe(connection, device)
                for device in connection.listAllDevices(_LISTED)
            ]
        except libvirt.libvirtError as error:
            raise self._unavailable(error) from error
        return [document for document in documents if document is not None]

    def watch(self, on_change: Callable[[], None]) -> None:
        """Have a function called whenever a look at the devices is due.

        That is: a device came, went or was updated, or the connection broke
        (the next listing then says so). libvirt has no event for a PCI
        device's driver; the network interface's coming and going tells of
        most of those changes. Nothing is told of a libvirt which has no
        node-device events, and a ``virtnodedevd`` which restarts behind
        ``virtqemud`` may lose them: list from time to time in any case.

        :param on_change: called on libvirt's event thread, many times in a
            row while many devices change; it must return at once and must
            not raise. Setting a ``threading.Event`` is the right thing.
        """
        self._watchers.append(on_change)

    def _prepare(self, connection: libvirt.virConnect) -> None:
        """Ask for what tells that a connection broke, and for events.

        One callback serves all watchers: libvirt cannot tell callbacks
        from Python apart and refuses a second one for the same event.
        """
        _if_supported(connection.registerCloseCallback, self._on_closed, None)
        _if_supported(
            connection.setKeepAlive, KEEPALIVE_INTERVAL, KEEPALIVE_COUNT
        )
        for event in _EVENTS:
            registered = _if_supported(
                connection.nodeDeviceEventRegisterAny,
                None,
                event,
                self._on_event,
                None,
            )
            if registered is not None:
                self._registered.append(registered)

    def _on_event(self, *_about: Any) -> None:
        for on_change in tuple(self._watchers):
            on_change()

    def _on_closed(
        self, connection: libvirt.virConnect, reason: int, opaque: None
    ) -> None:
        LOG.warning(
            'Connection to libvirt at %s is lost (reason %s)',
            self.uri,
            reason,
        )
        self._on_event()

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        registered, self._registered = self._registered, []
        if connection is None:
            return
        # Callbacks hold the connection: while one is registered, close()
        # leaves the socket open. A broken connection refuses some of this.
        for verb, arguments in (
            *(
                (connection.nodeDeviceEventDeregisterAny, (number,))
                for number in registered
            ),
            (connection.unregisterCloseCallback, ()),
            (connection.close, ()),
        ):
            try:
                verb(*arguments)
            except libvirt.libvirtError as error:
                LOG.debug('Closing libvirt at %s: %s', self.uri, error)

    def _unavailable(
        self, error: libvirt.libvirtError
    ) -> exception.LibvirtUnavailable:
        return exception.LibvirtUnavailable(self.uri, str(error))


def _describe(
    connection: libvirt.virConnect, device: libvirt.virNodeDevice
) -> str | None:
    """Return a device's XML, or None if the device has gone meanwhile.

    libvirt reads links and attributes anew for each description. A device
    which goes at that very moment shows as an error of any kind; whether it
    went is asked before such an error counts.

    :raises libvirtError: the device is there and cannot be described.
    """
    try:
        return str(device.XMLDesc(0))
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_NODE_DEVICE:
            return None
        LOG.debug('Describing %s again after: %s', device.name(), error)
    try:
        return str(connection.nodeDeviceLookupByName(device.name()).XMLDesc(0))
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_NODE_DEVICE:
            return None
        raise


def _is_alive(connection: libvirt.virConnect) -> bool:
    try:
        return bool(connection.isAlive())
    except libvirt.libvirtError:
        return False


def _if_supported(verb: Callable[..., Any], *arguments: Any) -> int | None:
    """Call something that some of libvirt's drivers do not have.

    :returns: what it returned, None if the driver does not have it.
    """
    try:
        return int(verb(*arguments))
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_SUPPORT:
            raise
        return None


def _start_event_loop() -> None:
    """Start libvirt's default event loop, once in this process.

    It has to be registered before the first connection is opened; events,
    keepalive and the close callback do not work on older connections.
    """
    global _event_loop
    with _event_loop_lock:
        if _event_loop is not None:
            return
        # Without a handler libvirt prints every error to stderr, including
        # those that are expected and handled.
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
            LOG.error('libvirt event loop: %s', error)
            # Not to spin if the error stays; events only come later.
            time.sleep(1)


def _log_error(opaque: None, error: Any) -> None:
    LOG.debug('libvirt: %s', error)
