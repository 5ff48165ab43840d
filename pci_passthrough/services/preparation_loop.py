# SPDX-License-Identifier: Apache-2.0
"""The agent's thread that has devices prepared."""

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Mapping
import fcntl
import logging
import os
import threading

from oslo_config import cfg
from oslo_log import log

from pci_passthrough import exception
from pci_passthrough import handlers
from pci_passthrough import objects
from pci_passthrough import resource_types
from pci_passthrough import rpc
from pci_passthrough.discovery import libvirt_host
from pci_passthrough.discovery import scan
from pci_passthrough.handlers import device_lock
from pci_passthrough.handlers import privileged
from pci_passthrough.handlers import verb_process
from pci_passthrough.handlers import verb_run
from pci_passthrough.objects import lifecycle
from pci_passthrough.services import backoff
from pci_passthrough.services import device_use
from pci_passthrough.services import preparing
from pci_passthrough.services import restoring
from pci_passthrough.services import turns as turns_module

LOG = log.getLogger(__name__)

#: Seconds for a handler to set one device up again.
_RESTORE_TIMEOUT = 120.0


class PreparationLoop:
    """Asks the conductor for devices to prepare, in the agent's process.

    :param registry: the handlers of this host.
    :param libvirt: is asked for the guests that run.
    :param verdicts: returns the result of the last scan, None before it.
    :param on_success: called when a device has been prepared.
    :param on_defect: called with an unexpected error.
    :param types: the resource types besides PCI functions.
    """

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        registry: handlers.Registry,
        libvirt: libvirt_host.LibvirtHost,
        verdicts: Callable[[], scan.Scan | None],
        on_success: Callable[[], None],
        on_defect: Callable[[BaseException], None],
        types: Mapping[str, resource_types.ResourceType],
    ) -> None:
        self._conf = conf
        self._types = types
        self._registry = registry
        self._libvirt = libvirt
        self._verdicts = verdicts
        self._on_success = on_success
        self._host_lock: int | None = None
        self._due = threading.Event()
        self._stopping = threading.Event()
        self._client = rpc.ConductorClient(
            rpc.get_transport(conf), conf.agent.rpc_timeout
        )
        turns = turns_module.Turns()
        self._preparing = preparing.Preparing(
            self._client,
            conf.host,
            registry,
            self._look,
            self._run_verb,
            self._request,
            conf.agent.handler_processes,
            conf.agent.max_backoff,
            on_end=self._note_end,
            on_defect=on_defect,
            has_handlers=self._has_handlers,
            turns=turns,
            place_of=self._place_of,
        )
        #: its thread is started by the agent
        self.restoring = restoring.Restoring(
            conf.host,
            registry,
            types,
            verdicts,
            self._restore,
            self._check_unused,
            self._held,
            turns,
            on_end=self._due.set,
        )

    def wake(self) -> None:
        """Ask at once, in the loop's thread."""
        self._due.set()

    def stop(self) -> None:
        """Let the loop and all handlers end."""
        self._stopping.set()
        self._preparing.stop()
        self.restoring.stop()
        self._due.set()

    def run(self) -> None:
        """Ask and prepare until ``stop``.

        Without handlers the conductor is asked after scans only: a device may
        still wait for those of an earlier configuration.
        """
        pauses = backoff.Backoff(self._conf.agent.max_backoff)
        interval = self._conf.agent.preparation_interval
        try:
            while not self._stopping.is_set():
                self._due.wait(interval if self._has_handlers() else None)
                self._due.clear()
                if self._verdicts() is None or self._stopping.is_set():
                    continue
                if not self._is_alone():
                    self._stopping.wait(pauses.failed())
                    self._due.set()
                    continue
                self.restoring.wake()
                try:
                    self._preparing.poll()
                    pauses.succeeded()
                except exception.PciPassthroughError as error:
                    LOG.warning(
                        'Cannot ask what is to be prepared: %s', error.text
                    )
                    self._stopping.wait(pauses.failed())
                    self._due.set()
        finally:
            self._client.close()
            # Its threads may still be at work, until the process ends.
            if self._host_lock is not None and self._preparing.is_idle:
                os.close(self._host_lock)
                self._host_lock = None

    def _has_handlers(self) -> bool:
        """Whether a device that the host offers now has handlers."""
        verdicts = self._verdicts()
        return verdicts is not None and any(
            item.device.get('handlers') for item in verdicts.offered
        )

    def _is_alone(self) -> bool:
        """Whether no other agent prepares this host's devices.

        One that was stopped for a while after a conductor's answer, and goes
        on, would not know that another agent has finished its work. The lock
        of flock(2) on a directory of sysfs lasts as long as this process.
        """
        if self._host_lock is not None:
            return True
        path = os.path.join(self._registry.root, 'sys/bus/pci/devices')
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            self._say_why_not(f'{path}: {error.strerror}')
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            self._say_why_not(
                'another agent of this host does, or has not ended yet'
                if isinstance(error, BlockingIOError)
                else f'{path} cannot be locked: {error.strerror}'
            )
            return False
        self._host_lock = descriptor
        return True

    def _say_why_not(self, reason: str) -> None:
        # Without sysfs there are neither handlers nor a need for a warning.
        level = logging.WARNING if self._has_handlers() else logging.DEBUG
        LOG.log(level, 'Not preparing devices: %s. Trying again', reason)

    def _note_end(self, is_prepared: bool) -> None:
        self._due.set()
        if is_prepared:
            self._on_success()

    def _look(self, preparation: objects.Preparation) -> handlers.Device:
        """Return a device that the host itself lets handlers touch.

        :raises UntouchableDevice: it is not offered, is in use, or has other
            handlers now.
        :raises LibvirtUnavailable: nobody can tell which guests run.
        """
        verdicts = self._verdicts()
        offered = [] if verdicts is None else verdicts.offered
        for item in offered:
            if item.device.address == preparation.address:
                break
        else:
            raise device_use.UntouchableDevice(
                'the host does not offer it now'
            )
        if item.device.get('handlers', []) != preparation.handlers:
            raise device_use.UntouchableDevice(
                'pci_information names other handlers now'
            )
        self._check_unused(item.device)
        return handlers.Device.of(item.device)

    def _check_unused(self, device: objects.PciDevice) -> None:
        """See ``device_use.check_unused``.

        :raises LibvirtUnavailable: nobody can tell which guests run.
        """
        self._libvirt.connect()
        device_use.check_unused(
            device,
            self._libvirt.list_running_domains(),
            self._registry.root,
            self._types,
        )

    def _held(self) -> Collection[str]:
        """Return the addresses of the devices that instances have.

        :raises ConductorUnavailable: none answers, or it is too old.
        """
        client = rpc.ConductorClient(
            rpc.get_transport(self._conf), self._conf.agent.rpc_timeout
        )
        try:
            return {
                str(device.address)
                for device in client.host_devices(self._conf.host)
                if device.status in lifecycle.OWNED
            }
        finally:
            client.close()

    def _place_of(self, address: str) -> str:
        """Return the place of an offered device's lock."""
        verdicts = self._verdicts()
        for item in [] if verdicts is None else verdicts.offered:
            if item.device.address == address:
                return device_lock.place_of(handlers.Device.of(item.device))
        return address

    def _restore(
        self, verb: handlers.Verb, text: str, device: handlers.Device
    ) -> verb_run.Outcome:
        return verb_run.run(
            self._request(verb, text, device),
            _RESTORE_TIMEOUT,
            lambda percent, progress: None,
            lambda: not self._stopping.is_set(),
        )

    def _run_verb(
        self,
        request: verb_process.Request,
        on_progress: Callable[[int | None, str], None],
        still_wanted: Callable[[], bool],
    ) -> verb_run.Outcome:
        return verb_run.run(
            request,
            self._registry.host.timeout,
            on_progress,
            still_wanted,
        )

    def _request(
        self, verb: handlers.Verb, text: str, device: handlers.Device
    ) -> verb_process.Request:
        return verb_process.Request(
            verb=verb,
            handler=text,
            device=device,
            host=self._registry.host,
            in_process=privileged.run_in_process(self._libvirt.uri),
            config_files=tuple(self._conf.config_file or ()),
            config_dirs=tuple(map(str, self._conf.config_dirs or ())),
        )
